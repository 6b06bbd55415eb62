"""Who is seen in the clips: the tables of gender, ethnicity and age that ship with First Impressions."""

import pandas as pd

from personality.corpus.files import File, open_file

ATTRIBUTES = ("gender", "ethnicity", "age")
NAMES_OF_CLIPS = ("videoname", "video", "clip", "filename", "name")


def read_people(file: File) -> pd.DataFrame | None:
    """Read a table of people, parted by commas, semicolons or tabs; None if it is a table of something else.

    Args:
        file: A csv such as `eth_gender_annotations_dev.csv`, with a column of clips' names.

    Returns:
        The cells as text: index `clip`, columns those of `ATTRIBUTES` that it has.
    """
    try:
        with open_file(file) as content:
            header = content.readline().decode("utf-8-sig")
            content.seek(0)
            separator = max(",;\t", key=header.count)
            table = pd.read_csv(content, sep=separator, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (pd.errors.ParserError, UnicodeDecodeError):
        return None
    columns = [str(column).strip().lower().replace("_", "").replace(" ", "") for column in table.columns]
    table.columns = pd.Index(columns)
    clip = next((name for name in NAMES_OF_CLIPS if name in columns), None)
    known = {name: _column(name, columns) for name in ATTRIBUTES}
    if clip is None or not any(known.values()):
        return None
    people = pd.DataFrame({name: table[column].str.strip() for name, column in known.items() if column})
    people.index = pd.Index(table[clip].str.strip().str.removesuffix(".mp4") + ".mp4", name="clip")
    return people[~people.index.duplicated()]


def _column(name: str, columns: list[str]) -> str | None:
    """Find the column of an attribute: `age` may be `agegroup` or `apparentage`."""
    return next((column for column in columns if column == name or column in (f"{name}group", f"apparent{name}")), None)
