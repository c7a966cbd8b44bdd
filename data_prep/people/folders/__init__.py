"""Other people's folders of scans of many people, brought into ours."""

from data_prep.people.folders.convert import ConvertOptions, convert_people

__all__ = ["ConvertOptions", "convert_people"]
