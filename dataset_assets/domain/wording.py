"""How numbers of things are said."""


def counted(number: int, thing: str, things: str | None = None, *, signed: bool = False) -> str:
    """`1 image`, `2,000 images`; with a sign where it is a difference. A plural that is no mere s is given."""
    digits = f"{number:+,}" if signed else f"{number:,}"
    return f"{digits} {thing if abs(number) == 1 else things or f'{thing}s'}"
