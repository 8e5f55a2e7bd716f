#!/bin/bash
# Once all tasks of array.sh are over: shows what they made on the page of the home, makes what one
# that was killed left, and builds the datasets.

#SBATCH --job-name=pathassets-after
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --output=pathassets-after-%j.log

set -euo pipefail
source "${PATHASSETS_SETTINGS:-$SLURM_SUBMIT_DIR/pathassets.env}"

pathassets run
