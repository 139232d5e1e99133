"""evaluation.json of a run: its models on subjects they were not trained on."""

import numpy as np

from evaluation.metrics import scores
from evaluation.plots import plot_confusion
from pipeline.files import write_json


def evaluate(run, nights, features):
    """Score every model of the run on nights; writes evaluation.json and confusion.png. Returns the results."""
    stages = np.concatenate([night.stages for night in nights])
    results, shown = [], {}
    for architecture in run.options.architectures:
        said = run.probabilities(architecture, features)
        shown[architecture] = np.concatenate(said)[stages >= 0]
        each = {night.subject: scores(night.stages, p) for night, p in zip(nights, said, strict=True)}
        known = {"architecture": architecture, "precision": "float32", "seed": run.options.seed, "repeat": 0}
        pooled = {"all": scores(stages, np.concatenate(said))}
        results.append(known | {"operating_point": "default", "scored": pooled, "subjects": each})
    protocol = {"name": "holdout", "train_split": run.options.train_split, "subjects": run.splits}
    write_json(run.folder / "evaluation.json", {"protocol": protocol, "results": results})
    plot_confusion(stages[stages >= 0], shown, run.folder / "confusion.png")
    return results
