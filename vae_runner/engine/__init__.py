"""The training engine, and its settings."""

from vae_runner.engine.config import EngineConfig, choose_device, choose_precision
from vae_runner.engine.engine import Engine
from vae_runner.engine.interrupted import Interrupted

__all__ = ["Engine", "EngineConfig", "Interrupted", "choose_device", "choose_precision"]
