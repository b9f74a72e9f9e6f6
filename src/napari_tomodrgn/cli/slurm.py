"""A SLURM script for a training: what the command line asked for, to be run by ``sbatch``."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text

# About the script, not about the training; and what the script adds by itself.
_NOT_PASSED_ON = {"command", "source", "resume", "slurm", "nodes", "gpus", "time", "overwrite"}
_CPUS_PER_TASK = 8  # cores of each process, and its OpenMP threads

_SCRIPT = """\
#!/bin/bash
# Written by napari-tomodrgn. Submit with: sbatch {name}
# Add what your cluster asks for, for example: #SBATCH --partition=gpu --account=lab --mem=64G
#SBATCH --job-name={job}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node={tasks}
{gpus}#SBATCH --cpus-per-task={cpus}
#SBATCH --time={time}
#SBATCH --chdir={folder}
#SBATCH --output={log}
#SBATCH --open-mode=append
#SBATCH --requeue
# Two minutes before the time is up the training is asked to save and stop.
#SBATCH --signal=TERM@120

set -eu
RUN={run}
RESUME=
if [ -e "$RUN/run.json" ]; then RESUME=--resume; fi
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-{cpus}}}"
export SRUN_CPUS_PER_TASK="$OMP_NUM_THREADS"

status=0
srun --kill-on-bad-exit=1 {command} $RESUME || status=$?
if [ "$status" -eq 130 ]; then
    # Saved before the time was up: queued again, to go on from there.
    scontrol requeue "$SLURM_JOB_ID" && exit 0
fi
exit "$status"
"""


def write_script(options: Namespace, config: RunConfig) -> None:
    """Write the script that ``--slurm`` names; the training itself runs when it is submitted.

    ``config`` is what the command line and its file come to.

    Raises
    ------
    BadInputError
        If so many processes cannot share a batch.
    """
    tasks = max(1, options.gpus)
    processes = options.nodes * tasks
    if processes > 1 and config.method == "linear":
        raise BadInputError("The linear method runs in one process.", remedy="Use --gpus 1.")
    if config.train.batch_size < processes:
        raise BadInputError(
            f"{processes} processes cannot share a batch of {config.train.batch_size} particles.",
            remedy=f"Give --batch-size {4 * processes} or more.",
        )
    words = [sys.executable, "-m", "napari_tomodrgn", *arguments(options)]
    if options.gpus == 0 and options.device is None:
        words += ["--device", "cpu"]
    run = options.out.resolve()
    text = _SCRIPT.format(
        name=options.slurm.name,
        job=shlex.quote(f"tomodrgn-{run.name}"),
        nodes=options.nodes,
        tasks=tasks,
        gpus=f"#SBATCH --gpus-per-node={options.gpus}\n" if options.gpus else "",
        cpus=_CPUS_PER_TASK,
        time=options.time,
        folder=shlex.quote(str(Path.cwd())),
        log=shlex.quote(f"{run}-%j.log"),
        run=shlex.quote(str(run)),
        command=shlex.join(words),
    )
    write_text(options.slurm, text)


def arguments(options: Namespace) -> list[str]:
    """The words of a ``train`` command that has these options, to be started in this folder."""
    words = ["train", str(options.source)]
    for name, value in vars(options).items():
        if name in _NOT_PASSED_ON or value is None or value is False:
            continue
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif name == "tomogram":
            words += [flag, *value]
        elif name == "exclude_tilts":
            words += [flag, ",".join(map(str, value))]
        else:
            for item in value if isinstance(value, list) else [value]:
                words += [flag, "=".join(item) if isinstance(item, tuple) else str(item)]
    return words
