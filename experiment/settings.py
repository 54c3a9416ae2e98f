"""The settings of one run."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "results"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The flags of one run; each field is the flag of that name. `Settings()` is the post's."""

    mode: str = "manual"
    wiring: str = "published"
    gradient_1: str = "synthetic"
    gradient_2: str = "synthetic"
    synthetic_step: str = "ascend"
    module_input: str = "state"
    label_scale: float = 1.0
    recurrent_update: str = "outer"
    engine: str = "fastest"
    epochs: int = 100
    digits: tuple[str, str] = ("0", "1")
    train_images: int = 100
    test_images: int = 20
    split_seed: int = 678
    seed: int = 678
    init: str = "portable"
    synthetic_init: str = "normal"
    lr_x: float = 1e-3
    lr_rec: float = 1e-6
    lr_sg: float = 1e-4
    lr_auto: float = 0.1
    warm_up: bool = False
    decay: float = 1.0
    diagnostics: bool = False
    data_dir: Path = PROJECT / "MNIST_data"
    allow_other_data: bool = False
    results_dir: Path = RESULTS
    checkpoint_every: int = 10
    resume: bool | None = None
    keep_checkpoints: bool = False
    tensorboard: bool = False

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        if self.mode == "numpy":
            return f"numpy-{self.recurrent_update}"
        gradients = f"-{self.gradient_1}-{self.gradient_2}"
        return f"{self.wiring}-{self.mode}{gradients.replace('-synthetic-synthetic', '')}"

    @property
    def chosen_engine(self) -> str:
        """The engine, or the fastest one for these settings."""
        if self.engine != "fastest":
            return self.engine
        both = self.gradient_1 == self.gradient_2 == "synthetic" and not self.diagnostics
        if self.mode != "manual" or not both or self.module_input == "label":
            return "stepwise"
        # Above that rate `parallel` needs too many rounds (docs/speed.md).
        return "parallel" if self.module_input == "state" and self.lr_rec <= 1e-5 else "delayed"

    def numeric(self) -> dict[str, Any]:
        """The settings that affect the numbers: all but those of files; the chosen engine."""
        values = {**dataclasses.asdict(self), "engine": self.chosen_engine}
        return {name: value for name, value in values.items() if name not in _OF_FILES}


OF_CHECKPOINTS = ("checkpoint_every", "resume", "keep_checkpoints")
_OF_FILES = ("data_dir", "allow_other_data", "results_dir", *OF_CHECKPOINTS, "tensorboard")


def non_default_flags(settings: Mapping[str, Any]) -> list[str]:
    """The settings that differ from the post's, as flags, without wiring, mode and engine.

    Args:
        settings: of the run, by name; more may be there, as in metrics.json.
    """

    def text(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return [
        f"--{name}={text(settings[name])}"
        for name, value in Settings().numeric().items()
        if name not in ("mode", "wiring", "engine") and text(settings[name]) != text(value)
    ]
