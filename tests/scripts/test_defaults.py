"""The settings for the sample corpus apply to it alone; any other corpus has the defaults of the classes."""

from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from personality.scripts.command_line import CONF

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("[!_]*.yaml"))
CORPORA = sorted(path.stem for path in (CONF / "corpus").glob("[!_]*.yaml"))
CHOICES = [[], ["data=face_frames", "model=dan"]]


@cache
def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [*overrides]))


@pytest.mark.parametrize("choices", CHOICES)
def test_without_an_experiment_the_sample_corpus_has_its_small_networks(choices):
    config = composed(*choices)
    small = {"width": 0.25, "batch_norm": True, "optimiser": "adamw", "lr": 0.005, "schedule": "one_cycle"}
    assert config["trainer"]["max_epochs"] == 60
    assert config["data"].items() >= {"batch_size": 8, "train_segments": 6}.items()
    assert config["model"].items() >= small.items()
    assert config == composed(*choices, "corpus=sample") == composed(*choices, "experiment=[sample]")


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("corpus", [corpus for corpus in CORPORA if corpus != "sample"])
def test_without_an_experiment_another_corpus_has_the_defaults_of_the_classes(corpus, choices):
    config = composed(f"corpus={corpus}", *choices)
    without = composed("experiment=[]", *choices)
    assert (config["data"], config["model"]) == (without["data"], without["model"])
    assert config["trainer"]["max_epochs"] == OmegaConf.load(CONF / "trainer/default.yaml").max_epochs


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_named_experiment_is_the_same_on_every_corpus(corpus, experiment):
    for choice in (f"experiment=[{experiment}]", f"experiment=[{experiment},sample]")[: 1 + (experiment != "sample")]:
        on_another = composed(f"corpus={corpus}", choice)
        assert on_another == composed(choice) | {"corpus": on_another["corpus"]}
        asked = OmegaConf.to_container(OmegaConf.load(CONF / f"experiment/{experiment}.yaml"))
        small = OmegaConf.to_container(OmegaConf.load(CONF / "experiment/sample.yaml"))
        choices = [f"{key.split('/')[1]}={name}" for each in asked.get("defaults", []) for key, name in each.items()]
        plain = composed("experiment=[]", *choices)
        for part in ("data", "model", "trainer"):
            named = asked.get(part, {}) | (small[part] if "sample" in choice else {})
            assert on_another[part] == OmegaConf.to_container(OmegaConf.merge(plain[part], named))
