"""Who made a model and under which licence: what is said on the command line, else on the model card."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Credits:
    """For the file's metadata; what is empty is left out."""

    name: str = ""
    author: str = ""
    license: str = ""

    def filled_from(self, folder: Path) -> "Credits":
        """With what the model card (`README.md`) says where nothing was given, and the folder's name."""
        from gguf import Metadata

        card = Metadata.load_model_card(folder)
        return Credits(
            self.name or folder.name,
            self.author or _text(card.get("author")),
            self.license or _text(card.get("license")),
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
