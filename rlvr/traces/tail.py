"""A file that others add lines to, read on from where it was; one that was replaced is read anew."""

from pathlib import Path


class Tail:
    """Reads the whole lines of a file, each once.

    Args:
        path: It need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._last_line = b""

    def read(self) -> tuple[bool, list[bytes]]:
        """Whether it is another file than before, and the lines since, or all of them where it is.

        A last line that is still under way is left for the next time. A file that cannot be read has no lines.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset - len(self._last_line))
                is_other = file.read(len(self._last_line)) != self._last_line  # as after a crash, or when tidied
                if is_other:
                    self._offset = 0
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return False, []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        if whole or is_other:
            self._last_line = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        return is_other, whole.splitlines()
