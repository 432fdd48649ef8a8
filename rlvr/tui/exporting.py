"""What leaves the browser as a file: the judged pairs, an SFT set. Asked for in two steps: what, and where to."""

from rlvr.tui.page import Page
from rlvr.tui.session import Session


def ask_export(page: Page, session: Session) -> None:
    """Asks what to export and where to, then writes it."""
