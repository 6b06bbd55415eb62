"""The model card of a folder that is passed on, filled from a run (Mitchell et al. 2019)."""

import json
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from personality.evaluation.predictions import groups_of
from personality.evaluation.reference import run_of
from personality.evaluation.text import fairness_text, results_text
from personality.explanation.summary import summary_text
from personality.models.backbones import DEFAULTS
from personality.tables import join_names
from personality.traits import TRAITS

CORPORA = {
    "FirstImpressions": "ChaLearn First Impressions V2: clips of English-language YouTube videos, labelled by crowd "
    "workers; CC BY-NC 4.0",
    "ImageFolder": "frames of clips, with labels in the format of First Impressions, whose licence is CC BY-NC 4.0",
    "SampleCorpus": "the sample corpus of `personality`, which is **synthetic**: drawn faces and generated voices. Do "
    "not apply the model to people",
}
"""What a card says of a corpus, by its class."""
LICENCES = {
    "dlib_face": "dlib's face recognition (King 2017): public domain (CC0)",
    "vgg_face": "VGG-Face (Parkhi et al. 2015): on the terms of the Visual Geometry Group, University of Oxford",
    "vggish": "VGGish (Hershey et al. 2017): Apache 2.0",
}
"""The published weights of backbones and their licences."""


def model_card(config: Mapping[str, Mapping[str, Any]], name: str, checkpoint: Path | None = None) -> str:
    """Write the card of a model in Markdown.

    Args:
        config: The settings of `corpus`, `data` and `model`, each with its `_target_`.
        name: What `personality.load` takes, such as `hf://USER/NAME`.
        checkpoint: Its results, fairness and faithfulness are taken from the run that it lies in.
    """
    corpus, data, model = (config[part] for part in ("corpus", "data", "model"))
    classes = {part: settings.get("_target_", "").rpartition(".")[2] for part, settings in config.items()}
    run = run_of(checkpoint) if checkpoint and checkpoint.is_file() else None
    networks = _networks(model)
    templates = Environment(loader=PackageLoader("personality", "."), trim_blocks=True, lstrip_blocks=True)
    return templates.get_template("model_card.md.j2").render(
        name=json.dumps(name, ensure_ascii=False),
        checkpoint=checkpoint.name if run and checkpoint else None,
        targets=join_names(data.get("targets", TRAITS), 20),
        stability="neuroticism" in data.get("targets", TRAITS),
        classes=classes,
        backbone=_list({part: f"`{network['backbone']}`" for part, network in networks.items()}),
        weights=_list({part: _weights(network) for part, network in networks.items()}),
        corpus=CORPORA.get(classes["corpus"], "clips and labels of its author's own. Describe them here"),
        split=_split(corpus),
        training=_training(run),
        tables=_tables(run) if run else {},
    )


def _split(corpus: Mapping[str, Any]) -> str:
    """Say how the clips are divided."""
    if corpus.get("folds"):
        return f"fold {corpus.get('fold') or 0} of {corpus['folds']} is the test, each group of clips in one fold"
    if corpus.get("split") == "by_group":
        return f"new ones, each group of clips in one of them, of the relative sizes {corpus.get('shares')}"
    return "those of the corpus; where it has none, each group of clips is in one of them"


def _training(run: Path | None) -> str:
    """Count the training clips."""
    if run is None or not (run / "labels_train.csv").is_file():
        return ""
    groups = [*groups_of(pd.read_csv(run / "labels_train.csv", index_col="clip"))]
    return f"{len(groups):,} clips from {len({*groups}):,} sources"


def _tables(run: Path) -> dict[str, str]:
    """Return the tables of a run as text, by their titles."""
    split = "test" if (run / "results_test.csv").is_file() else "val"
    tables = {}
    if (results := run / f"results_{split}.csv").is_file():
        tables[f"Results on the {split} split, with 95 % intervals"] = results_text(pd.read_csv(results))
    if (fairness := run / f"fairness_{split}.csv").is_file():
        tables["By attributes of the people"] = fairness_text(pd.read_csv(fairness))
    for file in sorted(run.glob("heatmaps/*/faithfulness.csv")):
        title = f"Faithfulness of the heatmaps on the {file.parent.name} split, with 95 % intervals"
        tables[title] = summary_text(pd.read_csv(file, index_col=0))
    return tables


def _networks(model: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of the network, or of that of each part of a joint model, with the name of its backbone."""
    if "parts" not in model:
        default = None if model.get("backbone") else DEFAULTS[model["modality"], len(model["input_shape"]) - 2]
        return {"": {**model, "backbone": model.get("backbone") or default}}
    starts = model.get("start") or {}
    return {
        name: _networks({**model["inputs"][name], **part})[""] | {"start": starts.get(name)}
        for name, part in model["parts"].items()
        if part
    }


def _list(of_parts: Mapping[str, str]) -> str:
    return "; ".join(f"{part}: {text}" if part else text for part, text in of_parts.items())


def _weights(model: Mapping[str, Any]) -> str:
    """Say which weights the backbone started from, and their licence."""
    own, backbone = model.get("weights"), str(model["backbone"])
    family = backbone.partition(":")[0]
    if start := model.get("start"):
        return f"those of the trained model `{PureWindowsPath(start).name}`, whose card says more"
    if not own and (family not in ("dlib_face", "timm", "torchaudio") or _is_varied(model)):
        return "none: it was trained from scratch, or has no weights"
    if family == "timm":
        licence = _timm_licence(backbone)
    elif family == "torchaudio":
        licence = f"{backbone}: {'CC BY-NC 4.0' if 'VOXPOPULI' in backbone or 'MMS' in backbone else 'MIT'}"
    else:
        licence = LICENCES.get(backbone, "unknown")
    if not own:
        return licence
    return f"the file `{PureWindowsPath(own).name}`. Of published weights the licence is that of {licence}"


def _is_varied(model: Mapping[str, Any]) -> bool:
    """Return whether the backbone has another size than the published one."""
    return model.get("width", 1) != 1 or bool(model.get("batch_norm"))


def _timm_licence(backbone: str) -> str:
    """Return what timm says of the weights of a network."""
    try:
        from timm import get_pretrained_cfg
    except ImportError:
        return f"{backbone}: see timm"
    found = get_pretrained_cfg(backbone.partition(":")[2])
    return f"{backbone}: {(found and found.license) or 'see timm'}"
