"""The model zoo. A model is called with (hyperparameters, spec, rngs); its module maps a batch to outputs."""

from tuner.models.cnn import CNN
from tuner.models.mlp import MLP
from tuner.models.resnet import ResNet
from tuner.models.rnn import RNN
from tuner.models.transformer import GPT, TransformerEncoder

__all__ = ["CNN", "GPT", "MLP", "RNN", "ResNet", "TransformerEncoder"]
