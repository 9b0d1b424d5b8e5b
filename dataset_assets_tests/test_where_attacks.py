"""x10 to x12 of the fault catalogue: what people may write into a condition in order to reach more than columns.

Each is tried in every place that takes a condition: a subset of dataset.yaml, which is refused when it is read, and
`search --where`. Nothing may change, nothing outside may be read, and the answer comes at once.
"""

import hashlib
import random
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from dataset_assets.cli import app
from dataset_assets.config import ConfigError, load_config
from dataset_assets.domain.schemas import IMAGE_FACTS, IMAGE_METADATA, RAW_IMAGES, TAG_METADATA, Table
from dataset_assets.domain.selection import PUBLIC_COLUMNS, WhereError, where_expression
from dataset_assets.domain.wording import counted
from dataset_assets.storage.tables import Cell, Tables

SETTINGS = """
root: ./data
sources:
  danbooru: {kind: danbooru, metadata: m.json, images: i, years: 2019, license: {name: various, basis: site terms}}
"""
SECONDS, MEGABYTES = 10, 500  # that the worst of them may take
IMAGES, LETTERS = 100, 1_000

# x10: other statements, other tables, files, functions, and spellings meant to slip through.
EFFECTS = [
    # Other statements.
    "1=1; drop table image_metadata; --",
    "1=1; copy (select 1) to '{folder}/owned.csv'; --",
    "1=1; attach '{folder}/x.db' as x; --",
    "1=1; install httpfs; load httpfs; --",
    "1=1; set enable_external_access=true; --",
    "1=1; pragma database_list; --",
    "1=1; export database '{folder}/all'; --",
    "1=1; delete from image_metadata",
    "1=1; update image_metadata set rating = 'general'",
    "drop table image_metadata",
    "create table x as select 1",
    "truncate table image_metadata",
    "explain select 1",
    "show tables",
    # Out of the parenthesis that a careless program would write round it.
    "1=0) union all select * from hidden --",
    "1=1) or (1=1",
    "1=1 -- comment",
    "1=1 /* comment */",
    "1=1 # comment",
    "'\\' or read_csv('/etc/passwd') --'",
    "title = '' or '' union select 1",
    # Other tables and files.
    "exists(select 1 from hidden where secret like 'p%')",
    "(select count(*) from read_csv('/etc/passwd')) > 0",
    "exists(select 1 from read_text('/etc/passwd'))",
    "exists(select 1 from '{folder}/secret.parquet')",
    "exists(select 1 from read_parquet('{folder}/secret.parquet'))",
    "exists(select 1 from glob('/etc/*'))",
    "width in (select 1)",
    "width > all(select 1)",
    "title in (table hidden)",
    "hidden.secret = 'p'",
    "read_csv('/etc/passwd') is null",
    "read_csv_auto('{folder}/secret.parquet') is null",
    "scan_parquet('{folder}/secret.parquet') is null",
    "title in (values ('a'))",
    "exists(with x as (select 1) select * from x)",
    # The process, the machine, the clock, chance.
    "getenv('HOME') is not null",
    "current_setting('temp_directory') is not null",
    "exists(select 1 from duckdb_secrets())",
    "exists(select 1 from query('select 1'))",
    "current_user = 'root'",
    "version() = '1'",
    "now() > created_at",
    "current_date > created_at",
    "current_timestamp > created_at",
    "random() > 0.5",
    "pg_sleep(60) is null",
    "load_extension('{folder}/evil') is null",
    "system('touch {folder}/owned') = 0",
    # All rows at once instead of one.
    "count(*) > 1",
    "max(width) = width",
    "sum(width) > 1",
    "row_number() over () > 5",
    "lag(width) over (order by width) > 1",
    "columns('.*')",
    "*",
    "unnest(pools) = 'a'",
    "first(width) = 1",
    # Odd spellings.
    "cast(post_id as int) = 1",
    "post_id::int = 1",
    "pools[1] = 'a'",
    "x'ff' = title",
    "e'\\x41' = title",
    "$$a$$ = title",
    "`width` = 1",
    "[width] = 1",
    "width = @@version",
    "width = :value",
    "width = ?",
    "width = ${{value}}",
    "ｗｉｄｔｈ = 1",
    "width\x00 = 1",
    "width = 1\u202e",
    "struct(width) is null",
    "{{'a': width}} is null",
    "width = 0x1f",
    "interval '1 day' > created_at",
    "timestamp '2019-01-01 00:00:00' < created_at",
    # Unicode that looks like something else.
    "width\u00a0>\u00a01; drop table x",
    "width \u2260 1",
    "width \u2265 448",
    "w\u0456dth >= 448",
    "width >= 4\uff14\uff18",
    "title = \u2018a\u2019",
    "title = \u02bcx\u02bc or 1=1",
    "\ufeffwidth = 1",
    "wid\u200bth = 1",
    "wi\u0301dth = 1",
    "title = 'a\ud7ff' or\u2028drop table x",
    "ｓｅｌｅｃｔ 1",
    # Files and programs by way of functions that an engine might know.
    "read_blob('/etc/passwd') is null",
    "read_json_auto('{folder}/secret.parquet') is null",
    "parquet_scan('{folder}/secret.parquet') is null",
    "sniff_csv('/etc/passwd') is null",
    "pg_read_file('/etc/passwd') is null",
    "pickle_load('{folder}/x') is null",
    "http_get('http://127.0.0.1/') is null",
    "shell('touch {folder}/owned') is null",
    "__import__('os').system('touch {folder}/owned') = 0",
    "pl.read_parquet('{folder}/secret.parquet') is null",
    "title = '{folder}/secret.parquet' and exists(from '{folder}/secret.parquet')",
    "width in (table secret)",
    "width = (with x as (select 1 as a) select a from x)",
    "width = 1 limit 1",
    "width = 1 group by width",
    "width = 1 order by width",
    "width = 1 union select 1",
    "lambda x: x",
]

# x11: numbers, texts and patterns that would take all time or memory.
BOMBS = [
    "length(repeat('a', 8000000000)) > 0",
    "lpad(title, 2000000000) = 'x'",
    "replace(replace(title, '', 'aaaaaaaa'), '', 'aaaaaaaa') = 'x'",
    "title || title || title = 'x'",
    "concat(title, title) = 'x'",
    "array_length(range(1000000000)) > 0",
    "length(list_transform(range(2000000000), x -> x)) > 0",
    "generate_series(1, 1000000000) is null",
    "title ~ '(((a{100}){100}){100}){100}'",
    "title ~ '" + "\\w{1000}" * 100 + "'",
    "title ~ description",
    "title rlike title",
    "title similar to 'x'",
    "power(9, power(9, power(9, 9))) > 1",
    "exp(exp(exp(width))) > 1",
    "width > " + "9" * 500,
    "(" * 4_000 + "width = 1" + ")" * 4_000,
    "not " * 2_400 + "is_blank",
    "- " * 4_900 + "width = 1",
    "abs(" * 1_900 + "width" + ")" * 1_900 + " = 1",
    "case when true then " * 300 + "true" + " else false end" * 300,
    " or ".join(["width=1"] * 900),
    "width" + "+1" * 4_900 + " = 1",
    "width = 1 " + "and width = 1 " * 10_000,
    "title ~ '(a{1,50}){1,40}b'",
    "title ~ '((a{1,9}){1,9}){1,9}b'",
    "title ~ '(a|b)*a" + "(a|b)" * 600 + "c'",
    "title ~ '[ab]*a[ab]{600}c'",
    "title ~ 'a{999999999}'",
    "title ~ '(" + "a?" * 300 + ")" + "a" * 300 + "'",
    "title like '" + "%a" * 4_000 + "'",
    "title like '%a" + "_" * 600 + "b'",
    "title like '%" + "a" * 300 + "' or description ~ '" + "b" * 300 + "'",
    "title ~ '" + "\\\\p{{L}}{{9}}" * 60 + "'",
    "title ~ '[" + "a-z" * 400 + "]{400}' or title ~ '.{400}'",
    "width in (" + ",".join(["1"] * 6_000) + ")",
    "width = " + "+".join(["1"] * 300),
    "title = '" + "a" * 20_000 + "'",
]

# x12: names and values that are not what they seem. Each is refused with words that help.
MISTAKES = {
    "widht >= 448": "did you mean 'width'",
    "Width >= 448": "did you mean 'width'",
    "image_id = 'danbooru-1-0'": "there is no column 'image_id'",
    "rating = null": "`is null`",
    "rating != null": "`is null`",
    "rating in (null)": "`is null`",
    "is_blank is not true": "coalesce(column, false)",
    "width": "true or false for each image",
    "1": "true or false for each image",
    "'width >= 448'": "true or false for each image",
    "": "the condition is empty",
    "   ": "the condition is empty",
}


def _write(tables: Tables, table: Table, rows: Iterable[Mapping[str, object]]) -> None:
    named: list[dict[str, object]] = [{"image_id": f"danbooru-{number}-0", **row} for number, row in enumerate(rows, 1)]
    tables.commit(tables.stage(table, Cell("danbooru", 2019), table.frame(named)), "run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three images, and beside it a file that no condition has any business with."""
    made = tmp_path_factory.mktemp("attacked")
    (made / "dataset.yaml").write_text(SETTINGS, "utf-8")
    pl.DataFrame({"secret": ["password"]}).write_parquet(made / "secret.parquet")
    tables = Tables(made / "data")
    _write(
        tables,
        IMAGE_METADATA,
        ({"post_id": str(number), "title": title} for number, title in enumerate(("a", "(", None))),
    )
    _write(tables, RAW_IMAGES, [{"state": "stored"}] * 3)
    _write(tables, IMAGE_FACTS, ({"width": width, "height": 5} for width in (1, 2, 3)))
    tables.commit(tables.stage(TAG_METADATA, Cell("danbooru", 2019), TAG_METADATA.empty()), "run")
    return made


@pytest.fixture
def attacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(folder / "dataset.yaml"))
    monkeypatch.chdir(folder)
    return folder


def fingerprint(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def found(where: str) -> str:
    """What a search with a condition prints. Raises: ConfigError, which ends the command line with exit code 2."""
    return CliRunner().invoke(app, ["search", "", "--where", where, "--count"], catch_exceptions=False).output


def read_as_subset(folder: Path, where: str) -> None:
    """Read a dataset.yaml with a subset of this condition."""
    file = folder.parent / "attacked.yaml"
    quoted = "".join(f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one for one in where)
    file.write_text(f'{SETTINGS}subsets: {{s: {{where: "{quoted}"}}}}\n', "utf-8")
    load_config(file)


def _named(attacks: list[str], fault: str) -> list[object]:
    return [pytest.param(attack, id=f"{fault}-{number:03}-{attack[:40]!a}") for number, attack in enumerate(attacks, 1)]


@pytest.mark.parametrize("attack", [*_named(EFFECTS, "x10"), *_named(BOMBS, "x11")])
def test_x10_x11_an_attack_is_refused_at_once_wherever_it_stands_and_changes_nothing(
    attack: str, attacked: Path
) -> None:
    attack = attack.replace("{folder}", str(attacked)).replace("{{", "{").replace("}}", "}")
    before, began, memory = fingerprint(attacked), time.monotonic(), _peak()
    with pytest.raises(WhereError) as refusal:
        where_expression(attack)
    with pytest.raises(ConfigError, match="cannot use the condition"):
        found(attack)
    with pytest.raises(ConfigError, match=r"subsets\.s\.where"):
        read_as_subset(attacked, attack)
    assert time.monotonic() - began < SECONDS
    assert _peak() - memory < MEGABYTES
    assert fingerprint(attacked) == before
    assert len(str(refusal.value)) < 1_000
    assert str(refusal.value).isprintable() or "\n" in str(refusal.value)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.items(), ids=[f"x12-{one!a}" for one in MISTAKES])
def test_x12_a_mistake_is_refused_with_words_that_help(mistake: str, said: str, attacked: Path) -> None:
    with pytest.raises(ConfigError) as searched:
        found(mistake)
    with pytest.raises(ConfigError) as read:
        read_as_subset(attacked, mistake)

    assert said in str(searched.value)
    assert said in str(read.value)


@pytest.mark.parametrize(
    ("where", "images"),
    [("title = 'a'", 1), ("title <> 'a'", 1), ("title is null", 1), ("not title = 'a'", 1), ("false", 0), ("true", 3)],
)
def test_x12_what_is_not_known_is_neither_true_nor_false(where: str, images: int, attacked: Path) -> None:
    assert found(where).splitlines()[-1] == counted(images, "image")


LARGEST = [
    " or ".join(["width=1"] * 100),
    "width" + "+1" * 199 + " = 1",
    "width in (" + ", ".join(map(str, range(1_500))) + ")",
    "(" * 30 + "width = 1" + ")" * 30,
    "abs(" * 30 + "width" + ")" * 30 + " = 1",
    "title like '" + "%a" * 250 + "'",
    "title like '%a" + "_" * 490 + "b'",
    "title ilike '" + "_%" * 250 + "'",
    "title ~ '" + "(a+)+" * 240 + "$'",
    "title ~ '(a{1,20}){1,20}b'",
    "title ~ '(a|b)*a" + "(a|b)" * 240 + "c'",
    "title ~ '[ab]*a[ab]{490}c'",
    "title ~ '(" + "a?" * 240 + ")" + "a" * 240 + "'",
    "title ~ '^(([a-z])+.)+[A-Z]([a-z])+$'",
    "title ~* '" + "(a|ab)*" * 150 + "c'",
    " or ".join(f"title like '%{number}%'" for number in range(100)),
]


@pytest.mark.parametrize("where", LARGEST, ids=[f"x11-{number:02}-{one[:30]}" for number, one in enumerate(LARGEST, 1)])
def test_x11_the_largest_conditions_are_answered_soon_for_texts_that_suit_them(where: str) -> None:
    drawn = random.Random(1)
    titles = ["".join(drawn.choice("ab") for _ in range(LETTERS)) for _ in range(IMAGES)]
    values = {name: [None] * IMAGES for name in PUBLIC_COLUMNS} | {"title": titles, "width": list(range(IMAGES))}
    rows, memory = pl.DataFrame(values, schema=PUBLIC_COLUMNS), _peak()
    began = time.process_time()
    rows.select(where_expression(where))

    assert time.process_time() - began < SECONDS
    assert _peak() - memory < MEGABYTES


def test_the_catalogue_is_of_some_size() -> None:
    assert len(set(EFFECTS)) == len(EFFECTS)
    assert len(set(BOMBS)) == len(BOMBS)
    assert len(EFFECTS) + len(BOMBS) >= 140
