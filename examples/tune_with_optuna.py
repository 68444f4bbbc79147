"""Choose the learning rate with Optuna, which prunes trials that look bad early: pip install optuna."""

import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from PIL import Image

import biranet

folder = Path(tempfile.mkdtemp())
for seed in range(40):  # drawn photographs, in a folder for each grade
    file = folder / "photos" / str(seed % 5) / f"{seed}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(biranet.draw_photo(seed % 5, seed, 160, 128)).save(file)
prepare = [sys.executable, "-m", "biranet", "prepare", "photos", "prepared", "--size", "64", "--workers", "0"]
subprocess.run(prepare, cwd=folder, check=True, capture_output=True)


def objective(trial):
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    config = biranet.TrainConfig(
        model=biranet.ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
        data=biranet.DataConfig(image_size=64, batch_size=8, workers=0),
        optimizer=biranet.OptimizerConfig(optimizer="adamw", lr=lr, weight_scale="unit"),
        epochs=2,
        device="cpu",
    )
    losses = []

    def on_epoch(result):
        losses.append(result.validation_loss)
        trial.report(losses[-1], result.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned  # comes out of train as it is; what was trained is saved

    biranet.train(folder / "prepared", folder / f"trial_{trial.number}", config, on_epoch=on_epoch)
    return min(losses)


optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler, pruner = optuna.samplers.TPESampler(seed=1), optuna.pruners.MedianPruner(n_startup_trials=1)
study = optuna.create_study(direction="minimize", sampler=sampler, pruner=pruner)
study.enqueue_trial({"lr": 3e-3})
study.enqueue_trial({"lr": 1e-1})  # far too high, so it ends after its first epoch
study.optimize(objective, n_trials=3)
states = ", ".join(trial.state.name.lower() for trial in study.trials)
print(f"trials: {states}; lowest validation loss {study.best_value:.3f}, with lr {study.best_params['lr']:.2g}")
