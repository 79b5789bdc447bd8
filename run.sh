#!/usr/bin/env bash
# Runs the experiments with the published settings: on EMO-DB with both losses, other
# protocols and two more seeds, then on IEMOCAP. A stopped experiment resumes. Without
# IEMOCAP (see docs/corpora.md), the script ends after EMO-DB.
#
#   ./run.sh [options of train.py for all runs, such as --data_dir /corpora --jobs 4]
set -euo pipefail
cd "$(dirname "$0")"

train() { python train.py -v 0 -it mfcc -c disk -m false "$@"; }

emo_db() { train -dn EMO-DB -id 3 -at all "$@"; }

for loss in focal cross_entropy; do
  emo_db -ln "$loss" --protocol published "$@"
  emo_db -ln "$loss" --protocol speaker --select last "$@"
done
emo_db -ln cross_entropy --protocol random "$@"
emo_db -ln cross_entropy --protocol paper "$@"
for seed in 43 44; do
  emo_db -ln cross_entropy --protocol published --seed "$seed" "$@"
  emo_db -ln cross_entropy --protocol speaker --select last --seed "$seed" "$@"
done
for loss in focal cross_entropy; do
  for seconds in 3 7; do
    train -dn IEMOCAP -id "$seconds" -at all -ln "$loss" "$@"
    # the paper's improvised experiments use happiness without excitement
    train -dn IEMOCAP-HAPPINESS -id "$seconds" -at impro -ln "$loss" "$@"
  done
done
