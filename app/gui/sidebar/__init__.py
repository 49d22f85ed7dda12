"""The list of conversations at the left of the window."""

from app.gui.sidebar.item import SidebarItem, State
from app.gui.sidebar.sidebar import Sidebar

__all__ = ["Sidebar", "SidebarItem", "State"]
