"""Every setting of a run, declared once: its key in `run.toml`, its flag, its default and its meaning."""

from tvmerge.config.chat import ChatConfig
from tvmerge.config.check import CheckConfig
from tvmerge.config.judging import JudgeConfig
from tvmerge.config.merging import MergeConfig
from tvmerge.config.option import Option, weighted
from tvmerge.config.reading import file_settings, load_check_config, load_config, load_merge_config
from tvmerge.config.run import RunConfig, options
from tvmerge.config.tasks import TaskConfig

__all__ = [
    "ChatConfig",
    "CheckConfig",
    "JudgeConfig",
    "MergeConfig",
    "Option",
    "RunConfig",
    "TaskConfig",
    "file_settings",
    "load_check_config",
    "load_config",
    "load_merge_config",
    "options",
    "weighted",
]
