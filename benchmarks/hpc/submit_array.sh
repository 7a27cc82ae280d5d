#!/bin/bash
# Submit a job array, and the job that merges its parts once all of them have succeeded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
array=$(sbatch --parsable array.sbatch)
sbatch --dependency="afterok:$array" merge.sbatch
