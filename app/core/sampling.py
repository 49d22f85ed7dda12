"""How the next token is chosen: the settings of the sampler chain."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """The sampler chain's settings; the defaults are llama.cpp's own, but a calmer temperature."""

    temperature: float = 0.7
    """0 chooses the most likely token each time."""
    top_k: int = 40
    """How many of the likeliest tokens stay; 0 keeps all."""
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    """1 is none."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_last_n: int = 64
    """How many of the latest tokens the penalties look at."""
    seed: int | None = None
    """None draws a new seed for each reply."""

    def __post_init__(self) -> None:
        """Refuse what llama.cpp would turn into nonsense."""
        bounds = {
            "temperature": (self.temperature, 0.0, 10.0),
            "top_k": (self.top_k, 0, 1_000_000),
            "top_p": (self.top_p, 0.0, 1.0),
            "min_p": (self.min_p, 0.0, 1.0),
            "repeat_penalty": (self.repeat_penalty, 0.01, 10.0),
            "presence_penalty": (self.presence_penalty, -10.0, 10.0),
            "frequency_penalty": (self.frequency_penalty, -10.0, 10.0),
            "penalty_last_n": (self.penalty_last_n, 0, 65_536),
            "seed": (self.seed or 0, 0, 2**32 - 1),
        }
        for name, (value, low, high) in bounds.items():
            if not low <= value <= high:  # also refuses NaN
                raise ValueError(f"{name.replace('_', ' ')} must lie between {low} and {high}, not {value}")
