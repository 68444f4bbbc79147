"""What in the words of a file's header looks like a person, a date or a place. Kinds are named, words never repeated.

Judged by pattern alone, so a rare name passes by and a harmless number may be reported: it is a warning for people who
can look, not a proof.

A header may be written to stall whoever reads it. So no pattern takes more time than in proportion to the text: what it
may repeat without end it never gives back (`*+`, `++`), and what may start anywhere is bounded. Groups are not
possessive, because Python before 3.11.5 matches those wrongly.
"""

import re

KINDS = ("name", "number", "contact", "date", "place")
"""What can be found, in the order in which it is told; a `number` may stand for a person, a visit or a camera."""

_MAX_CHARACTERS = 4000
"""A longer text is searched up to here: words that people write are shorter."""

_IGNORE_CASE = re.IGNORECASE

# What a field of a header holds by its own name; names are compared in lower case without separators.
_FIELD_KINDS = [
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("contact", r"phone|email|contact(?!info)|webstatement"),
        ("date", r"date(?!cs)|creationtime|^when$"),
        ("place", r"^gps(dest)?l(at|ong)itude$|^gpsareainformation$|city|(?<!subject)location|provincestate|^state$"),
        ("place", r"country|address|institution|hospital|clinic|department|stationname|residence"),
        ("number", r"patientid(?!entity)|serialnumber|accession|studyid|admissionid|insurance|^id$"),
        ("name", r"patients?(birth|mothersbirth)?name|artist|author|creator$|owner|byline|copyright|rights$|credit"),
        ("name", r"physician|operators|personin|responsibleperson|captionwriter|descriptionwriter"),
    )
]
_TECHNICAL_FIELDS = re.compile(
    r"software|^(make|model|manufacturer.*)$|lens(make|model)|tool|agent|version|^(instance|document|original).*id$|uid$"
    r"|profile|^format$|quality|colou?rspace|^(mode|jfif|dpi|compression)$|codingscheme|codevalue|subjectlocation"
)
_FREE_TEXT_FIELDS = re.compile(r"comment|description|title|subject|caption|headline|keywords|documentname|pagename|^$")

_PLACEHOLDER = re.compile(
    r"[\W0_]*+|(none|null|n/?a|unknown|removed|deleted|blank|empty|default|de-?identified"
    r"|(anonym\w*+|anon|x++)[\W\d]*+)+",
    _IGNORE_CASE,
)
"""What stands in a field that was emptied, such as 000000 or Anonymous."""

_SOFTWARE_SIGNATURE = re.compile(
    r"\W*+(created (by|with|in)|creator:"
    r"|(optimi[sz]ed|compressed|processed|generated|written|converted|saved) (by|with)|file written by"
    r"|lav[cf]\d|libjpeg|jpeg|intel\(r\)|lead tech|handmade software|acd systems|adobe|gimp|xv "
    r"|imagemagick|photoshop|irfanview|microsoft|matlab|ascii|olympus|sony|canon|nikon|kodak|topcon|zeiss|kowa)",
    _IGNORE_CASE,
)
_VERSION = re.compile(
    r"\b(?:(?:firmware|version|ver|rev|build|release)\b\W*+)+[\w.:/-]*+(?:\W{1,3}\d{4}[:.-]\d\d[:.-]\d\d)?|\bv\d[\w.:/-]*+",
    _IGNORE_CASE,
)

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,9}"
_YEAR, _MONTH_NUMBER, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_TIME = r"(?:[T _:-]*+\d{1,2}:?\d\d(?::?\d\d)?)?"
_DATE = re.compile(
    rf"(?<![\d.])(?:{_YEAR}([:./-]){_MONTH_NUMBER}\1{_DAY}|{_DAY}([./-]){_DAY}\2{_YEAR}|{_DAY}/{_DAY}/\d\d"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|{_DAY}[ .-]*+{_MONTH}[ ,.-]*+{_YEAR}"
    rf"|{_MONTH} {_DAY},? *+{_YEAR}){_TIME}(?![\d])",
    _IGNORE_CASE,
)
_TIMESTAMP = re.compile(rf"(?<!\d){_YEAR}[:-](?:0[1-9]|1[0-2])[:-](?:0[1-9]|[12]\d|3[01])[ T]\d\d:\d\d")
_EMAIL = re.compile(r"[\w.+-]{1,64}+@[\w-]{1,64}+\.[\w.]{2,24}")
_PHONE = re.compile(r"\+\d[\d ()/-]{7,18}\d|\b(?:tel|phone|mobile)\b\W*+\d[\d ()/-]{4,18}\d", _IGNORE_CASE)
_NUMBER = re.compile(
    r"(?<![\w.])[a-z]{0,3}\d(?:[ /-]?\d){6,24}[a-z]?(?!\.?\w)|^\W*+\d{4,}+\W*+$"
    r"|\b(?:patient|pat|mrn|ssn|nhs|id|case|record|chart)\b\W{0,3}(?:id|no|nr|number)?\W{0,3}[a-z]{0,3}\d{3,}"
    r"|\b[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]\b",  # the last one: an Italian tax code
    _IGNORE_CASE,
)
_ADDRESS_WORD = re.compile(
    r"\b(?:hospital|clinic|klini[ck]|cl[ií]nica|h[oô]pital|universi\w+|institut\w*|street"
    r"|stra(?:ss|ß)e|eye cent(?:er|re))"
    r"|-?\d{1,3}\.\d{4,}+\s*+[,;]\s*+-?\d{1,3}\.\d{4,}|\d{1,3}\s*+°\s*+\d",
    _IGNORE_CASE,
)
_LABELED_NAME = re.compile(
    r"\b(?:patient|pat|name|surname|nom|nombre|mr|mrs|ms|dr|prof)\b[\s.:=]++(?-i:[^\W\d_a-z])[^\W\d_]|[^\W\d_]{2}\^[^\W\d_]",
    _IGNORE_CASE,
)
_FULL_NAME = re.compile(
    r"(?:[^\W\d_a-z][^\W\d_]*+(?:[.'’-][^\W\d_]*+)?[\s,;]++){1,3}[^\W\d_a-z][^\W\d_]++|[\u3400-\u9fff]{2,4}"
)
_NOT_NAMES = re.compile(
    r"\b(?:camera|digital|image|photo\w*|picture|fundus|retina\w*|left|right|eye|macula|disc|centre|center|field|color|colour"
    r"|jpeg|exif|default|untitled|unknown|test|original|scan\w*|screen\w*|adobe|microsoft|gimp|grade|no|data|set)\b",
    _IGNORE_CASE,
)


def kinds_in_field(field: str, text: str) -> set[str]:
    """Name what a field of a header holds.

    Args:
        field: The field's name in any spelling, such as `DateTimeOriginal` or `dc:creator`; empty for a bare comment.
        text: What stands in it.

    Returns:
        A set of `KINDS`.

    Example:
        >>> kinds_in_field("Artist", "Jane Doe"), kinds_in_field("Software", "Jane Doe 2.0")
        ({'name'}, set())
    """
    text = text.strip("\0 \t\r\n")
    field = re.sub(r"[\W_]", "", field.lower())
    if _PLACEHOLDER.fullmatch(text):
        return set()
    if _TECHNICAL_FIELDS.search(field):
        return set()
    for kind, pattern in _FIELD_KINDS:
        if pattern.search(field):
            return set() if kind == "name" and is_software_signature(text) else {kind}
    return identifier_kinds(text, names=bool(_FREE_TEXT_FIELDS.search(field)))


def identifier_kinds(text: str, *, names: bool = True) -> set[str]:
    """Name what a free text holds, in its first 4,000 characters.

    Args:
        text: Words of a person or a program.
        names: Also look for names of people, which only makes sense where people write.

    Returns:
        A set of `KINDS`.

    Example:
        >>> sorted(identifier_kinds("Jane Doe, 12.03.2019, 12345678901"))
        ['date', 'name', 'number']
        >>> identifier_kinds("CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90")
        set()
    """
    kinds: set[str] = set()
    if is_placeholder(text):
        return kinds
    text = text[:_MAX_CHARACTERS]
    if _EMAIL.search(text):
        kinds.add("contact")
    # Behind a program's signature or a camera's name people still write dates and numbers.
    signed = is_software_signature(text) and not _LABELED_NAME.search(text)
    rest = _VERSION.sub("\n", _EMAIL.sub("\n", text))
    for kind, pattern in (("contact", _PHONE), ("date", _DATE), ("place", _ADDRESS_WORD), ("number", _NUMBER)):
        rest, count = pattern.subn("\n", rest)
        if count and not (signed and kind == "place"):
            kinds.add(kind)
    lines = [line.strip(" \t\r,;:.-_/#()") for line in rest.split("\n")]
    if (names and not signed) and (
        _LABELED_NAME.search(text) or any(_FULL_NAME.fullmatch(line) and not _NOT_NAMES.search(line) for line in lines)
    ):
        kinds.add("name")
    return kinds


def kinds_in_bytes(data: bytes) -> set[str]:
    """Name what stands readable among bytes of an unknown layout: only what is hardly ever there by chance."""
    text = data.decode("latin-1")
    kinds = {
        "date": _TIMESTAMP,
        "contact": re.compile(r"[a-z][\w.+-]{2,64}+@[\w-]{3,64}+\.(?:com|org|net|edu|[a-z]{2})\b"),
    }
    return {kind for kind, pattern in kinds.items() if pattern.search(text)}


def is_placeholder(text: str) -> bool:
    """Whether a field was emptied: blank, zeros, or a word such as `Anonymous`."""
    return _PLACEHOLDER.fullmatch(text.strip("\0 \t\r\n")) is not None


def is_software_signature(text: str) -> bool:
    """Whether a text is the signature of a program or the default of a camera, which tells nothing of a visit."""
    return _SOFTWARE_SIGNATURE.match(text) is not None
