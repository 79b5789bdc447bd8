#!/usr/bin/env bash
# Runs every published experiment on EMO-DB and IEMOCAP, with both losses. A stopped
# experiment resumes. Without IEMOCAP (see docs/corpora.md), the script ends after EMO-DB.
#
#   ./run.sh [options of train.py for all runs, such as --data_dir /corpora --jobs 4]
set -euo pipefail
cd "$(dirname "$0")"

train() { python train.py -v 0 -it mfcc -c disk -m false "$@"; }

for loss in focal cross_entropy; do
  train -dn EMO-DB -id 3 -at all -ln "$loss" "$@"
done
for loss in focal cross_entropy; do
  for seconds in 3 7; do
    train -dn IEMOCAP -id "$seconds" -at all -ln "$loss" "$@"
    # the paper's improvised experiments use happiness without excitement
    train -dn IEMOCAP-HAPPINESS -id "$seconds" -at impro -ln "$loss" "$@"
  done
done
