#!/bin/sh
# SPDX-License-Identifier: MIT
# Run the load of test_config.json against the deployed engine; TESTCELL_BASE_URL says where it answers.
set -eu
exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"
