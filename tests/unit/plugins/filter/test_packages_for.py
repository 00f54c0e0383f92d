# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.enginelab.testcell.plugins.filter.packages_for import FilterModule

packages_for = FilterModule().filters()["packages_for"]
RULES = [{"distribution": "Debian", "compose": ["docker-compose"]}]
DEBIAN = {"distribution": "Debian", "distribution_major_version": "12"}


def test_the_filter_gives_the_packages():
    assert packages_for({"parts": ["compose"]}, DEBIAN, RULES) == ["docker-compose"]
    assert packages_for({"parts": ["compose"]}, DEBIAN, RULES, {"compose": ["other"]}) == ["other"]


def test_a_part_for_which_none_is_known_is_named():
    with pytest.raises(AnsibleFilterError, match="brings engine on Debian"):
        packages_for({"parts": ["engine"]}, DEBIAN, RULES)
