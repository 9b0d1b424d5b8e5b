"""How DuckDB reads a Danbooru record of either schema: keys, columns made of them, and when to doubt them."""

from dataset_assets.sources import danbooru_fields as fields

# Longer lines are read strictly: DuckDB does not mind how deeply a key that nobody asked for is nested.
LONG_LINE_BYTES = 32 << 10

_TAGS = "STRUCT(name VARCHAR, category VARCHAR)[]"
_SQL_TYPES = {
    "Int64": "BIGINT",
    "Int32": "INTEGER",
    "String": "VARCHAR",
    "Boolean": "BOOLEAN",
    "Datetime(time_unit='us', time_zone='UTC')": "TIMESTAMPTZ",
    "List(String)": "VARCHAR[]",
    "List(Struct({'name': String, 'category': String}))": _TAGS,
}
_TEXT_KEYS = (
    "id",
    "created_at",
    *fields.TIMES,
    *fields.REFERENCES,
    *fields.LARGE_NUMBERS,
    *fields.NUMBERS,
    *fields.TEXTS,
    *fields.LOWER_TEXTS,
    *fields.TAG_STRINGS,
    *fields.UNUSED,
    "pool_string",
)
# Numbers are read as text, since the old schema and BigQuery quote them, and so that 1.5 is seen, not rounded.
_PUBLISHED_KEYS = {
    **dict.fromkeys(_TEXT_KEYS, "VARCHAR"),
    **dict.fromkeys(fields.FLAGS, "BOOLEAN"),
    "tags": _TAGS,
    "pools": "VARCHAR[]",
    "favs": "VARCHAR[]",
}
# Keys that only records have which `danbooru_records` has put in order.
_MENDED_KEYS = _PUBLISHED_KEYS | {"tags_other": _TAGS, "piece_line": "BIGINT"}
_MOMENT_PATTERN = "____-__-_____:__:__%"
_NEVER = "1970-01-01 00:00:00%"


def column_types() -> str:
    """The columns of a record with their types, as CREATE TABLE wants them."""
    return ", ".join(f"{column.name} {_SQL_TYPES[str(column.dtype)]}" for column in fields.RECORD_COLUMNS)


def select_published() -> str:
    """Rows of a file ($1) of records as published: line (from $2 on), is_doubtful, and the columns of a record.

    A doubtful row is one whose values may not be what the record says; DuckDB raises on drifted types of lists and
    flags, and on a key that stands twice.
    """
    return _select(_PUBLISHED_KEYS, "row_number() OVER () - 1 + $2", _doubt(), f"NULL::{_TAGS}", 4 * LONG_LINE_BYTES)


def select_mended(longest: int) -> str:
    """The same of a file of records that were put in order, of `longest` bytes at most, which name their line."""
    doubt = f"{_number('id')} IS NULL OR {_moment('created_at')} IS NULL"
    return _select(_MENDED_KEYS, "piece_line", doubt, "tags_other", longest)


def copy_staged() -> str:
    """Write the table `staged` to $file, by year: piece, line, year, image_id and the columns of a record.

    By year in small groups, so that a reader of one year passes over most of the file.
    """
    names = ", ".join(column.name for column in fields.RECORD_COLUMNS)
    rows = (
        "SELECT $piece::INTEGER AS piece, line, year(created_at)::INTEGER AS year, "  # noqa: S608 - our own names
        f"$name || '-' || id || '-0' AS image_id, {names} FROM staged ORDER BY year"
    )
    return f"COPY ({rows}) TO $file (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 4096)"


def _select(keys: dict[str, str], line: str, doubt: str, tags_other: str, longest: int) -> str:
    """Rows of a file of records, read in three steps: as published, with lists of names by category, as columns."""
    types = ", ".join(f"{name}: '{kind}'" for name, kind in keys.items())
    reading = f"read_json($1, format = 'newline_delimited', maximum_object_size = {longest}, columns = {{{types}}})"
    named = ", ".join(
        f"list_transform(list_filter(tags, lambda tag: tag.category = '{number}' AND tag.name IS NOT NULL), "
        f"lambda tag: tag.name) AS named_{name}"
        for number, name in zip(fields.CATEGORIES, fields.TAG_STRINGS, strict=True)
    )
    listed = ", ".join(f"array_to_string(named_{name}, ' ') AS listed_{name}" for name in fields.TAG_STRINGS)
    values = ", ".join(f"{value} AS {name}" for name, value in (_values() | {"tags_other": tags_other}).items())
    return (
        f"SELECT {line} AS line, {doubt} AS is_doubtful, {values} "  # noqa: S608 - made of this module's names alone
        f"FROM (SELECT *, {listed} FROM (SELECT *, {named} FROM {reading}))"
    )


def _values() -> dict[str, str]:
    """How each column of a record is made of published keys."""
    values = {column.name: column.name for column in fields.RECORD_COLUMNS}
    values |= {name: _number(name) for name in ("id", *fields.REFERENCES, *fields.LARGE_NUMBERS, *fields.NUMBERS)}
    values |= {name: f"nullif({values[name]}, 0)" for name in fields.REFERENCES}
    values |= {name: f"lower({name})" for name in fields.LOWER_TEXTS}
    values |= {name: f"CASE WHEN {name} NOT LIKE '{_NEVER}' THEN {_moment(name)} END" for name in fields.TIMES}
    values |= {name: f"coalesce(listed_{name}, {name})" for name in fields.TAG_STRINGS}
    return values | {
        "created_at": _moment("created_at"),
        "fav_count": f"coalesce({_number('fav_count')}, nullif(len(favs), 0)::INTEGER)",
        "pools": _POOLS,
    }


def _number(name: str) -> str:
    return f"try_cast({name} AS {'INTEGER' if name in fields.NUMBERS else 'BIGINT'})"


def _moment(name: str) -> str:
    return f"try_cast({name} AS TIMESTAMPTZ)"


def _doubt() -> str:
    """Whether the record has to be read strictly."""
    earliest, latest = (f"TIMESTAMPTZ '{moment.isoformat(' ')}'" for moment in (fields.EARLIEST, fields.LATEST))
    numbers = (*fields.REFERENCES, *fields.LARGE_NUMBERS, *fields.NUMBERS)
    doubts = [
        f"coalesce(id <> {_number('id')}::VARCHAR OR {_number('id')} <= 0, true)",
        *(f"{name} IS DISTINCT FROM {_number(name)}::VARCHAR" for name in numbers),
        *(
            f"({name} NOT LIKE '{_NEVER}' AND coalesce({name} NOT LIKE '{_MOMENT_PATTERN}' "
            f"OR {_moment(name)} NOT BETWEEN {earliest} AND {latest}, true))"
            for name in fields.TIMES
        ),
        f"coalesce(created_at NOT LIKE '{_MOMENT_PATTERN}' "
        f"OR {_moment('created_at')} NOT BETWEEN {earliest} AND {latest}, true)",
        f"coalesce({', '.join(fields.MARKS_OF_A_POST)}) IS NULL",
        f"'NaN' IN ({', '.join((*fields.TEXTS, *fields.LOWER_TEXTS))})",
        # Tags in neither form; in both; of a category that has no column or without a name; with a blank in the name.
        "tags IS NULL AND tag_string_general IS NULL",
        f"tags IS NOT NULL AND coalesce({', '.join(fields.TAG_STRINGS)}) IS NOT NULL",
        f"len(tags) <> {' + '.join(f'len(named_{name})' for name in fields.TAG_STRINGS)}",
        *(f"len(named_{name}) <> {_words(f'listed_{name}')}" for name in fields.TAG_STRINGS),
    ]
    return f"coalesce({' OR '.join(doubts)}, false)"


def _words(text: str) -> str:
    return f"CASE WHEN {text} = '' THEN 0 ELSE len(string_split({text}, ' ')) END"


_POOLS = """CASE
    WHEN pools IS NULL AND pool_string IS NULL THEN NULL
    WHEN coalesce(len(pools), 0) = 0 AND coalesce(pool_string, '') = '' THEN []
    ELSE list_transform(list_sort(list_distinct(list_transform(
        list_filter(
            list_concat(pools, string_split(replace(pool_string, 'pool:', ''), ' ')),
            lambda pool: pool NOT IN ('', 'series', 'collection')
        ),
        lambda pool: {'digits': len(pool), 'pool': pool}
    ))), lambda pool: pool.pool)
END"""
