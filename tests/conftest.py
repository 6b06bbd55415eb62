import pytest

from personality.corpus import SampleCorpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Twelve clips of four seconds with planted evidence."""
    corpus = SampleCorpus(tmp_path_factory.mktemp("sample"), sizes=(6, 3, 3), seconds=4, processes=1)
    corpus.prepare()
    return corpus


@pytest.fixture(scope="session")
def loading(tmp_path_factory):
    """Words for every data module: features are computed once, in this process."""
    return {"cache": str(tmp_path_factory.mktemp("cache")), "processes": 0, "batch_size": 2}
