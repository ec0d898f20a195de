"""Half-trained trials on disk: what is kept of them, when, and how a study goes on from it."""

from tuner.study.checkpoints.checkpoint import Checkpoint, Kept
from tuner.study.checkpoints.estate import Estate
from tuner.study.checkpoints.files import CheckpointFiles, clear_study, folder_of, newest_in
from tuner.study.checkpoints.keeper import Keeper

__all__ = ["Checkpoint", "CheckpointFiles", "Estate", "Keeper", "Kept", "clear_study", "folder_of", "newest_in"]
