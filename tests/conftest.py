import pytest

from personality.corpus import SampleCorpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Twelve clips of four seconds with planted evidence."""
    corpus = SampleCorpus(tmp_path_factory.mktemp("sample"), sizes=(6, 3, 3), seconds=4, processes=1)
    corpus.prepare()
    return corpus
