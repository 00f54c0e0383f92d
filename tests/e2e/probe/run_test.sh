#!/bin/sh
set -eu
exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"
