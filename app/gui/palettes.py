"""The one table of colours: light, dark, and both again in high contrast."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Palette:
    """Every colour of the window, as `#RRGGBB`."""

    name: str
    dark: bool

    # Surfaces.
    window: str
    """The strip of gauges, dialogs, menus' surroundings."""
    page: str
    """Behind the conversation and its header."""
    sidebar: str
    card: str
    """What is written into or stands out: the composer, the chosen chat, menus, notices."""
    hover: str
    """Under a row or a flat button that the pointer is on."""
    code: str
    bubble: str
    """Under the person's own words."""
    selection: str
    """Under selected text."""
    border: str
    focus: str
    """The ring around what has the keyboard."""
    writing: str
    """The line around the message while it is written, a calm accent."""

    # Words.
    text: str
    text_soft: str
    text_faint: str
    danger: str
    warning: str
    link: str

    # The one accent, for what is alive.
    accent: str
    accent_soft: str
    accent_text: str
    """The sign on an accent surface; no words stand there."""

    # Code.
    code_comment: str
    code_keyword: str
    code_string: str
    code_number: str
    code_name: str

    # Gauges.
    weights: str
    kv_used: str
    kv_reserved: str
    compute: str
    other: str
    track: str
    system: str
    history: str
    tight: str
    """The context's parts when it is nearly full; no words stand in it."""
    process: str


LIGHT = Palette(
    name="light",
    dark=False,
    window="#F2F0EC",
    page="#FBFAF8",
    sidebar="#F2F0EC",
    card="#FFFFFF",
    hover="#E9E5DE",
    code="#F6F3EE",
    bubble="#F0EBE3",
    selection="#F6DBC8",
    border="#E0DBD3",
    focus="#6B5D4F",
    writing="#D0764A",
    text="#23201C",
    text_soft="#575149",
    text_faint="#696259",
    danger="#AD3526",
    warning="#855600",
    link="#9E400E",
    accent="#C8551B",
    accent_soft="#EFC3A7",
    accent_text="#FFFFFF",
    code_comment="#6B645A",
    code_keyword="#A0410F",
    code_string="#3F682C",
    code_number="#7A4796",
    code_name="#27568C",
    weights="#7590B0",
    kv_used="#C8551B",
    kv_reserved="#EFC3A7",
    compute="#B39A58",
    other="#C3BCB1",
    track="#E2DDD5",
    system="#A8995A",
    history="#C8551B",
    tight="#E0A11F",
    process="#696259",
)

DARK = Palette(
    name="dark",
    dark=True,
    window="#151412",
    page="#1B1A18",
    sidebar="#151412",
    card="#262421",
    hover="#211F1C",
    code="#151412",
    bubble="#2C2A26",
    selection="#5A3A26",
    border="#383530",
    focus="#C9BEB0",
    writing="#B06A3E",
    text="#F1EDE7",
    text_soft="#BEB7AD",
    text_faint="#A19A90",
    danger="#F09383",
    warning="#E2B25A",
    link="#F2A673",
    accent="#F08A4B",
    accent_soft="#7C4D32",
    accent_text="#1B1208",
    code_comment="#A19A90",
    code_keyword="#F2A673",
    code_string="#A9C78B",
    code_number="#CBA6E8",
    code_name="#8FB8E8",
    weights="#86A3C3",
    kv_used="#F08A4B",
    kv_reserved="#7C4D32",
    compute="#D3B774",
    other="#57524B",
    track="#302D29",
    system="#C4AB68",
    history="#F08A4B",
    tight="#EBC25C",
    process="#A19A90",
)

HIGH_CONTRAST_LIGHT = replace(
    LIGHT,
    name="high contrast light",
    window="#FFFFFF",
    page="#FFFFFF",
    sidebar="#FFFFFF",
    hover="#EDEDED",
    code="#FFFFFF",
    bubble="#F0F0F0",
    selection="#FFD9BF",
    border="#000000",
    focus="#0033CC",
    writing="#0033CC",
    text="#000000",
    text_soft="#1F1F1F",
    text_faint="#333333",
    danger="#8F0E00",
    warning="#5C3B00",
    link="#7A2A00",
    accent="#A33C00",
    accent_soft="#D98A5C",
    code_comment="#404040",
    code_keyword="#7A2A00",
    code_string="#1F4A0C",
    code_number="#55206F",
    code_name="#0A3566",
    weights="#2D5688",
    kv_used="#A33C00",
    kv_reserved="#D98A5C",
    compute="#6E5600",
    other="#6E6E6E",
    track="#D6D6D6",
    system="#6E5600",
    history="#A33C00",
    tight="#9A6A00",
    process="#333333",
)

HIGH_CONTRAST_DARK = replace(
    DARK,
    name="high contrast dark",
    window="#000000",
    page="#000000",
    sidebar="#000000",
    card="#0D0D0D",
    hover="#262626",
    code="#000000",
    bubble="#1F1F1F",
    border="#FFFFFF",
    focus="#FFD23F",
    writing="#FFD23F",
    text="#FFFFFF",
    text_soft="#EDEDED",
    text_faint="#DADADA",
    danger="#FFB4A8",
    warning="#FFD27A",
    link="#FFC199",
    accent="#FF9D5C",
    accent_soft="#A65A2A",
    accent_text="#000000",
    code_comment="#D0D0D0",
    code_keyword="#FFC199",
    code_string="#C4F09A",
    code_number="#E6C8FF",
    code_name="#B3D6FF",
    weights="#A6CBF5",
    kv_used="#FF9D5C",
    kv_reserved="#A65A2A",
    compute="#F2D58A",
    other="#8C8C8C",
    track="#3A3A3A",
    system="#F2D58A",
    history="#FF9D5C",
    tight="#FFD23F",
    process="#DADADA",
)

HIGH_CONTRAST = (HIGH_CONTRAST_LIGHT, HIGH_CONTRAST_DARK)

PALETTES = (LIGHT, DARK, *HIGH_CONTRAST)
