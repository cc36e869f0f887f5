"""Handlers and predictors."""

from .handler import Handler, PredictionHandler
from .predictor import Predictor
from .serializer import DefaultSerializer, Serializer

__all__ = ["DefaultSerializer", "Handler", "PredictionHandler", "Predictor", "Serializer"]
