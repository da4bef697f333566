"""The settings of a run, each declared once with its key, flag, default and description."""

from tvmerge.config.reading import file_settings, load_check_config, load_config, load_merge_config
from tvmerge.config.run import RunConfig, groups, options
from tvmerge.engines.model_settings import ModelConfig
from tvmerge.engines.prompting.settings import ChatConfig
from tvmerge.judging.settings import JudgeConfig
from tvmerge.merging.settings import MergeConfig
from tvmerge.option import Option, weighted
from tvmerge.tasks.settings import TaskConfig

__all__ = [
    "ChatConfig",
    "JudgeConfig",
    "MergeConfig",
    "ModelConfig",
    "Option",
    "RunConfig",
    "TaskConfig",
    "file_settings",
    "groups",
    "load_check_config",
    "load_config",
    "load_merge_config",
    "options",
    "weighted",
]
