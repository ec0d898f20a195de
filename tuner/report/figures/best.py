"""How the best trial did on the test rows."""

import optuna

from tuner.report.figures.figure import Figure, LeftOut
from tuner.study.record import BEST, StudyMemory
from tuner.study.result import best_trial
from tuner.study.shown import confusion_of
from tuner.study.stored import known


def confusion_matrix(study: optuna.Study, memory: StudyMemory) -> Figure | LeftOut:
    """What the best trial, refit, took the test rows for."""
    title, best = "Confusion matrix of the best trial", best_trial(study)
    if best is None:
        return LeftOut(title, "no trial is complete")
    if known(study, BEST).get("number") != best.number or "test" not in known(study, BEST):
        return LeftOut(title, "the best trial has not been tried on the test rows yet")
    confusion = confusion_of(study, memory)
    if confusion is None:
        return LeftOut(title, "the database has none: it is no classification, or one of very many classes")
    sentence = (
        "Each row is what the test examples are and each column what the model took them for, so whatever is off the "
        "diagonal is a mistake."
    )
    note = f"Trial {best.number}, trained once more on all rows but the test's. {confusion.title}."
    return Figure("confusion_matrix", title, sentence, confusion, note)
