"""The pictures of a study as MLflow shows them: a PNG of each, and a page with all of them to look into."""

import optuna

from tuner.report.figures import figures_of, page
from tuner.study.record import StudyMemory
from tuner.tracking import Picture

PAGE = "study.html"


def pictures_of(study: optuna.Study, memory: StudyMemory) -> list[Picture]:
    """The pictures of a study as it stands; drawing them takes longer, and happens when they are written."""
    figures = figures_of(study, memory)
    drawn = [Picture(f"{figure.name}.png", figure.png, last=figure.name == "confusion_matrix") for figure in figures]
    title = f"Study {study.study_name}"
    return [*drawn, Picture(PAGE, lambda: page(figures, title).encode(), last=True)]
