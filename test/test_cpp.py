# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A C++ package that uses the messages: found, compiled, linked and run as its author would."""

from pathlib import Path

import pytest
from cpp import build

SOURCE = """
#include <cstdio>
#include <pose3d_ros/msg/person_array.hpp>
#include <pose3d_ros/msg/pose3_d_array.hpp>
#include <rosidl_typesupport_cpp/message_type_support.hpp>

template<typename Message> const char * support() {
  const auto * handle = rosidl_typesupport_cpp::get_message_type_support_handle<Message>();
  return handle ? "supported" : "not supported";
}

int main() {
  pose3d_ros::msg::Pose3DArray poses;
  poses.poses.resize(2);
  poses.poses[1].root.z = 4.5;
  poses.intrinsics = "camera_info";
  std::printf("%s\\n", pose3d_ros::msg::to_yaml(poses).c_str());
  std::printf("%s\\n", support<pose3d_ros::msg::PersonArray>());
}
"""


def test_a_cpp_program_finds_and_uses_the_messages(tmp_path: Path) -> None:
    pytest.importorskip('pose3d_ros.msg')
    printed = build(tmp_path, SOURCE)()
    assert 'intrinsics: "camera_info"' in printed and 'z: 4.5' in printed
    assert printed.splitlines()[-1] == 'supported'
