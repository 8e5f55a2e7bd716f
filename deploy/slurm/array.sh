#!/bin/bash
# A cohort by eight tasks at once, each with its share of the slides. Submit from the home:
#
#   job=$(sbatch --parsable array.sh) && sbatch --dependency=afterany:$job after.sh
#
# Home, store and slides are on a disk that all nodes see; pathassets.env (pathassets.env.example)
# says where they are, and names the catalog, which is on PostgreSQL.

#SBATCH --job-name=pathassets
#SBATCH --array=1-8
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:1
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --output=pathassets-%A-%a.log

set -euo pipefail
source "${PATHASSETS_SETTINGS:-$SLURM_SUBMIT_DIR/pathassets.env}"

# Dagster's state of this task alone, on its node; after.sh tells the home's own what was made.
DAGSTER_HOME=$(mktemp -d)
export DAGSTER_HOME
echo 'telemetry: {enabled: false}' >"$DAGSTER_HOME/dagster.yaml"
trap 'rm -rf "$DAGSTER_HOME"' EXIT

shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
pathassets plan --shard "$shard"
pathassets run --shard "$shard"
