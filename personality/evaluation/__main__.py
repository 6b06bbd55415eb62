"""Measure, compare, fuse and rescale predictions from the command line: `python -m personality.evaluation --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personality.evaluation.calibration import calibration, rescale
from personality.evaluation.fairness import fairness, read_groups
from personality.evaluation.fusion import fuse, learn_weights
from personality.evaluation.predictions import measurable, read_predictions, read_traits, write_predictions
from personality.evaluation.results import compare, evaluate
from personality.evaluation.text import calibration_text, fairness_text, remarks, results_text
from personality.traits import TRAITS

MANUAL = """
python -m personality.evaluation A.csv                      measure predictions beside the habits they have to beat
python -m personality.evaluation A.csv --groups people.csv  and by gender, ethnicity and age
python -m personality.evaluation compare A.csv B.csv        is B better than A, clip by clip?
python -m personality.evaluation plot A.csv B.csv -o C.png  scores against labels, and all intervals side by side
python -m personality.evaluation fuse A.csv B.csv -o C.csv  average two models, or weight them (--learn)
python -m personality.evaluation calibrate A.csv --validation V.csv -o C.csv
                                                            make scores mean what they say

A file of predictions is a csv with a column clip (or VideoName, sample_id, ...) and one for each trait (openness,
ValueOpenness, pred_O, ...), in any order, with commas, semicolons or tabs; clips are named with or without .mp4. Or it
is a folder with a file for each trait, called test_openness.csv or test_O.csv, or test_0.csv to test_4.csv in the order
O C E A N, with the columns Prediction and GroundTruth. Lines that name no clips have no intervals.

Labels come from the columns openness_label, ..., or from a file of their own (--labels), a csv or an official pickle
such as annotation_validation.pkl. Training labels, which the baselines need, are found as labels_train.csv beside the
predictions, or given by --train. Clips whose source (the name before the clip's number) is not in training are measured
once more by themselves. Intervals are 95 %, by a bootstrap over sources.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, or 2 where what was asked cannot be done."""
    commands = parser()
    if arguments and arguments[0] not in {*COMMANDS, "-h", "--help"}:
        arguments = ["evaluate", *arguments]
    asked = commands.parse_args(arguments)
    try:
        COMMANDS[asked.command](asked)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    labels = argparse.ArgumentParser(add_help=False)
    labels.add_argument("--labels", type=Path, metavar="FILE", help="labels (csv or pickle) for predictions without")
    train = argparse.ArgumentParser(add_help=False)
    train.add_argument("--train", type=Path, metavar="FILE", help="labels of the training clips (csv or pickle)")
    train.add_argument("--csv", type=Path, metavar="FILE", help="write every number, with its interval, to this file")
    result = argparse.ArgumentParser(
        prog="python -m personality.evaluation", epilog=MANUAL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="{evaluate,compare,plot,fuse,calibrate}")

    command = commands.add_parser("evaluate", parents=[labels, train], help="measure predictions (the default)")
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument("--groups", type=Path, metavar="FILE", help="csv with clip or source, gender, ethnicity, age")
    command.add_argument("--count-missing", action="store_true", help="score missing clips with the training mean")

    command = commands.add_parser("compare", parents=[labels, train], help="the paired difference of two models")
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument("second", type=Path, metavar="B.csv")

    command = commands.add_parser("plot", parents=[labels, train], help="draw scores against labels, and intervals")
    command.add_argument("predictions", type=Path, nargs="+", metavar="A.csv")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.png")

    command = commands.add_parser("fuse", parents=[labels], help="make one model of several")
    command.add_argument("predictions", type=Path, nargs="+", metavar="A.csv")
    command.add_argument("--learn", type=Path, nargs="+", metavar="VAL_A.csv", help="learn weights on these, not equal")
    command.add_argument("--validation-labels", type=Path, metavar="FILE", help="labels of those (csv or pickle)")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.csv")

    command = commands.add_parser("calibrate", parents=[labels], help="rescale scores as validation clips teach")
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument("--validation", type=Path, required=True, metavar="VAL_A.csv", help="of the same model")
    command.add_argument("--validation-labels", type=Path, metavar="FILE", help="labels of those (csv or pickle)")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.csv")
    return result


def _evaluate(asked: argparse.Namespace) -> None:
    predictions, train = _labelled(asked.predictions, asked.labels), _training_labels(asked)
    results = evaluate(predictions, train, count_missing=asked.count_missing)
    agreement = calibration(predictions)
    print(results_text(results), calibration_text(agreement), sep="\n\n")
    found = [results, agreement]
    if asked.groups:
        found.append(fairness(predictions, read_groups(asked.groups), train))
        print("", fairness_text(found[-1]), sep="\n")
    print("", *remarks(predictions, train), sep="\n")
    if asked.count_missing:
        print("A clip without a score counts in the first tables as if it had the mean training label.")
    _write(pd.concat(found, ignore_index=True), asked.csv)


def _compare(asked: argparse.Namespace) -> None:
    first, second = (_labelled(path, asked.labels) for path in (asked.predictions, asked.second))
    train = _training_labels(asked)
    results = compare(first, second, train)
    print(f"first   {asked.predictions}\nsecond  {asked.second}\n\n{results_text(results)}\n")
    for name, predictions in [("first", first), ("second", second)]:
        for remark in remarks(predictions, train):
            print(f"{name}: {remark}")
    _write(results, asked.csv)


def _plot(asked: argparse.Namespace) -> None:
    from personality.evaluation.plots import draw_results  # the other commands start without Matplotlib

    train = _training_labels(asked)
    tables = [_labelled(path, asked.labels) for path in asked.predictions]
    names = _short_names(asked.predictions)
    draw_results(asked.output, dict(zip(names, tables, strict=True)), train)
    print(f"Drew {len(tables)} model{'s' * (len(tables) > 1)}: {asked.output}")
    if asked.csv:
        results = [evaluate(table, train).assign(file=name) for name, table in zip(names, tables, strict=True)]
        _write(pd.concat(results), asked.csv)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Name files by as few of their last folders as tell them apart."""
    parts = [path.absolute().with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"Got {', '.join(map(str, paths))}. Expected each file once; take out what is doubled.")


def _fuse(asked: argparse.Namespace) -> None:
    weights = None
    if asked.learn:
        if len(asked.learn) != len(asked.predictions):
            raise ValueError(
                f"Got {len(asked.learn)} validation files for {len(asked.predictions)} files to fuse. Expected one for "
                "each, of the same models in the same order; add those that are missing after --learn."
            )
        learnt = learn_weights(
            [_labelled(path, asked.validation_labels, "--validation-labels") for path in asked.learn]
        )
        print("Weights learnt on validation:", learnt.set_axis(asked.predictions).round(4).to_string(), sep="\n")
        weights = learnt.to_numpy()
    labels = read_traits(asked.labels) if asked.labels else None
    _write_predictions(asked.output, fuse([read_predictions(path, labels) for path in asked.predictions], weights))


def _calibrate(asked: argparse.Namespace) -> None:
    validation = _labelled(asked.validation, asked.validation_labels, "--validation-labels")
    print(calibration_text(calibration(validation)))
    predictions = read_predictions(asked.predictions, read_traits(asked.labels) if asked.labels else None)
    _write_predictions(asked.output, rescale(predictions, validation))


def _labelled(path: Path, labels: Path | None, option: str = "--labels") -> pd.DataFrame:
    """Read predictions that must have labels, and name the file if they have none."""
    predictions = read_predictions(path, read_traits(labels) if labels else None)
    try:
        measurable(predictions)
    except ValueError as error:
        raise ValueError(f"{path}: {error} Labels in a file of their own are joined by {option} FILE.") from error
    return predictions


def _training_labels(asked: argparse.Namespace) -> pd.DataFrame | None:
    """Read the training labels that were named, or that a run of ours left beside its predictions."""
    first = asked.predictions[0] if isinstance(asked.predictions, list) else asked.predictions
    beside = first.absolute().with_name("labels_train.csv")
    path = asked.train or (beside if beside.is_file() else None)
    return read_traits(path) if path else None


def _write(numbers: pd.DataFrame, path: Path | None) -> None:
    if path:
        numbers.to_csv(path, index=False, float_format="%.7g")
        print(f"Every number with its interval: {path}")


def _write_predictions(path: Path, predictions: pd.DataFrame) -> None:
    write_predictions(path, predictions)
    print(f"Wrote {predictions[TRAITS[0]].notna().sum():,} scored clips to {path}")


COMMANDS = {"evaluate": _evaluate, "compare": _compare, "plot": _plot, "fuse": _fuse, "calibrate": _calibrate}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
