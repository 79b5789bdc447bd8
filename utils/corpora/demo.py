"""DEMO, the default corpus: 140 synthetic utterances that come with the program.

Ten voices say two of three sentences in each of seven manners, so that the whole system
runs without a download. `data/DEMO/README.md` says how the recordings were made.
"""

import dataclasses

from utils.corpora import emo_db
from utils.files import PROJECT

FOLDER = PROJECT / "data" / "DEMO"
NAMES = dataclasses.replace(
    emo_db.NAMES,
    emotions={k: (label, 20) for k, label in emo_db.EMOTION_OF_LETTER.items()},
    example="03a01Fa.flac",
    suffixes={".flac"},
    note="DEMO is synthetic speech made by this project: its scores say nothing about "
    "emotion recognition.",
)
CORPUS = NAMES.corpus(
    "DEMO",
    folder_names=(str(FOLDER),),  # absolute: found with any --data_dir
    converts=False,
    defaults={  # published: 300 epochs; here all folds take minutes on one core
        "duration_s": 1.5,
        "num_folds": 5,
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "decay_start_epoch": 8,
        "decay_every_epochs": 2,
        "decay_rate": 1.0,
        "batch_norm_momentum": 0.8,
    },
    how_to_get="It comes with the program: run `git checkout -- data/DEMO`.",
    licence="MIT, as the program",
)
