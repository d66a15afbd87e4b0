"""Checks the documents: every chapter is in SUMMARY.md, and every link inside the repository leads somewhere.

    python3 docs/check.py
"""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
TOP = DOCS.parent
problems = []
checked = 0


def anchors(page: Path) -> set[str]:
    """The anchors that mdBook and GitHub give to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


def check_links(page: Path) -> None:
    global checked
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for match in re.finditer(r'\]\(([^)\s]+)(?:\s+"[^"]*")?\)|src="([^"]+)"', text):
        target = match[1] or match[2]
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        checked += 1
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            problems.append(f"{page.relative_to(TOP)}: {target} leads nowhere")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            problems.append(f"{page.relative_to(TOP)}: {target}: there is no such heading")


chapters = set(re.findall(r"\(([^)]+\.md)\)", (DOCS / "SUMMARY.md").read_text()))
for page in sorted(DOCS.glob("*.md")):
    if page.name != "SUMMARY.md" and page.name not in chapters:
        problems.append(f"docs/SUMMARY.md: {page.name} is missing")
for page in [*sorted(TOP.glob("*.md")), *sorted(DOCS.rglob("*.md"))]:
    check_links(page)
if checked < 50:
    problems.append(f"docs/check.py: it found {checked} links inside the repository, where there were more than 100")

print("\n".join(problems) or f"{len(chapters)} chapters: in order")
sys.exit(bool(problems))
