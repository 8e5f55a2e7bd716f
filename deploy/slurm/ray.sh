#!/bin/bash
# A cohort by one run on four nodes at once: Ray gives masks and locations to their cores and
# encoders to their cards. Submit from the home:
#
#   sbatch ray.sh
#
# Home, store and slides are on a disk that all nodes see, under one path; pathassets.env
# (pathassets.env.example) says where they are. Every node has this version of pathassets, with the
# extra `ray`.

#SBATCH --job-name=pathassets-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:1
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --output=pathassets-ray-%j.log

set -euo pipefail
source "${PATHASSETS_SETTINGS:-$SLURM_SUBMIT_DIR/pathassets.env}"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# Another job of the same node has another port.
address="$head:$((20000 + SLURM_JOB_ID % 10000))"
step=(srun --overlap --ntasks-per-node=1)

# Without a token whoever reaches the ports of the nodes can run anything as this user. The first job
# makes it in ~/.ray, which all nodes see; Ray itself lets others read the file.
export RAY_AUTH_MODE=token
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
(umask 077 && mkdir -p ~/.ray && flock ~/.ray/.token.lock ray get-auth-token --generate >/dev/null)
[[ ! -e $token ]] || chmod go= "$token"

"${step[@]}" --nodes=1 --nodelist="$head" \
  ray start --head --node-ip-address="$head" --port="${address#*:}" \
  --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false \
  --disable-usage-stats --block &
for _ in {1..60}; do
  ray health-check --address "$address" && break
  sleep 2
done
if ((${#nodes[@]} > 1)); then
  "${step[@]}" --nodes=$((${#nodes[@]} - 1)) --exclude="$head" \
    ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

# The job begins on the head, and what srun started ends with it.
PATHASSETS_WORKERS="$address" pathassets run
