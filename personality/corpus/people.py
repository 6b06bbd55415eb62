"""Who is seen in the clips: the tables of gender, ethnicity and age that ship with First Impressions."""

import logging

import pandas as pd

from personality.corpus.files import File
from personality.tables import ATTRIBUTES, read_table

log = logging.getLogger(__name__)


def read_people(file: File) -> pd.DataFrame | None:
    """Read a table of people; None if it is a table of something else.

    Args:
        file: A csv such as `eth_gender_annotations_dev.csv`, with a column of clips' names.

    Returns:
        The cells as text: index `clip`, columns those of `ATTRIBUTES` that it has. Of a clip that has several rows the
        first counts.
    """
    try:
        table = read_table(file, "clip")
    except ValueError as error:
        log.info("Not read as a table of people: %s", error)
        return None
    known = [name for name in ATTRIBUTES if name in table]
    return table.loc[~table.index.duplicated(), known] if known else None
