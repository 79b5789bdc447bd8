#!/usr/bin/env bash
# Every published experiment: EMO-DB and IEMOCAP, both losses, with the published
# settings. Each goes on where it was stopped. Without IEMOCAP, which only you can get, it
# ends after EMO-DB. Corpora: see README, "Corpora".
#
#   ./run.sh [options of train.py for every run, such as --data_dir /corpora --jobs 4]
set -euo pipefail
cd "$(dirname "$0")"

train() { python train.py -v 0 -it mfcc -c disk -m false "$@"; }

for loss in focal cross_entropy; do
  train -dn EMO-DB -id 3 -at all -ln "$loss" "$@"
done
for loss in focal cross_entropy; do
  for seconds in 3 7; do
    train -dn IEMOCAP -id "$seconds" -at all -ln "$loss" "$@"
    # the paper's improvised experiments take happiness alone
    train -dn IEMOCAP-HAPPINESS -id "$seconds" -at impro -ln "$loss" "$@"
  done
done
