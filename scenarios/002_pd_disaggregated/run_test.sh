#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the load of test_config.json against the router; TESTCELL_BASE_URL says where it answers.
set -eu
mkdir -p "$SCENARIO_RESULT_PATH"
exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"
