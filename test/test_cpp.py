"""A C++ package that uses the messages: found, compiled, linked and run as its author would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BUILD = """
cmake_minimum_required(VERSION 3.22)
project(user CXX)
find_package(pose3d_ros REQUIRED)
add_executable(user main.cpp)
target_link_libraries(user ${pose3d_ros_TARGETS})
"""
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
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(':')), sys.prefix]
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment['AMENT_PREFIX_PATH'] = ':'.join(prefixes)
    environment['PYTHONPATH'] = ':'.join(path for path in sys.path if path)
    # CMake and Ninja may be this environment's, which need not be activated
    environment['PATH'] = f'{os.environ["PATH"]}:{Path(sys.executable).parent}'
    libraries = ':'.join(f'{prefix}/lib' for prefix in prefixes)
    environment['LD_LIBRARY_PATH'] = f'{libraries}:{os.environ.get("LD_LIBRARY_PATH", "")}'
    (tmp_path / 'CMakeLists.txt').write_text(BUILD)
    (tmp_path / 'main.cpp').write_text(SOURCE)
    build = tmp_path / 'build'
    configure = ['-S', tmp_path, '-B', build, f'-DCMAKE_PREFIX_PATH={";".join(prefixes)}']
    for command in (
        ['cmake', *configure, f'-DPython3_EXECUTABLE={sys.executable}'],
        ['cmake', '--build', build],
        [build / 'user'],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert 'intrinsics: "camera_info"' in done.stdout and 'z: 4.5' in done.stdout
    assert done.stdout.splitlines()[-1] == 'supported'
