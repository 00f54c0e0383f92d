# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Synthetic prompts: seeded, of a given length, and each with an own beginning, so that no prefix cache can help."""

from __future__ import annotations

import random

_COMMON = """
able about above across act add age ago air all also always among animal answer any apple area arm art ask away baby
back bad bag ball bank base bath bear beat bed bell best big bird black blood blue board boat body bone book born
both box boy bread bring brown build burn bus busy buy call camp can cap car card care case cat cause cell chair
check chief child city class clean clear clock close cloud coat cold come cook cool copy corn cost count cover cow
cross crowd cry cup cut dance dark date day dead deal dear deep desk door down draw dream dress drink drive drop dry
duck dust ear earth east easy eat edge egg eight end enter even ever eye face fact fair fall far farm fast father
fear feed feel few field fight fill film find fine fire first fish five flat floor fly foot force form four free
fresh friend front fruit full fun game garden gas gate get girl give glad glass go gold good grass gray great green
ground group grow gun hair half hall hand happy hard hat head hear heart heat help hen here high hill hold hole home
hope horse hot hour house how hunt ice idea inch iron job join jump keep key kid kind king know lake land large last
late laugh law lay lead learn leave left leg less let letter level lie life lift light like line lion list live long
look
"""
WORDS = tuple(_COMMON.split())
ID_WORDS = 3  # 251 words: more than 15 million different beginnings


class PromptMaker:
    """Make prompt texts. words: length of each in words, never below the three that number it."""

    def __init__(self, seed: int, words: int) -> None:
        self._seed = seed
        self._tail = max(0, words - ID_WORDS)
        chooser = random.Random(f"prompts {seed}")
        self._pool = chooser.choices(WORDS, k=self._tail + 4096)
        self._shift = chooser.randrange(len(WORDS) ** ID_WORDS)

    def text(self, stream: str, index: int) -> str:
        """Return the prompt of a request; stream: "warmup" or "load", index from 0. Same arguments, same text."""
        start = random.Random(f"{self._seed} {stream} {index}").randrange(4096)
        number = 2 * index + (stream == "warmup") + self._shift
        return " ".join([*_id_words(number), *self._pool[start : start + self._tail]])


def _id_words(number: int) -> list[str]:
    """Return number in base len(WORDS) as words, the digit that changes fastest first."""
    words = []
    for _ in range(ID_WORDS):
        number, digit = divmod(number, len(WORDS))
        words.append(WORDS[digit])
    return words
