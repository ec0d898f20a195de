"""Half-trained trials on disk: what is kept of them, when, and how a study goes on from it."""

from tuner.study.checkpoints.checkpoint import Checkpoint, Kept
from tuner.study.checkpoints.files import CheckpointFiles, folder_of
from tuner.study.checkpoints.keeper import Keeper

__all__ = ["Checkpoint", "CheckpointFiles", "Keeper", "Kept", "folder_of"]
