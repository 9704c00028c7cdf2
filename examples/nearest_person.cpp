// Copyright 2026 pose3d_ros maintainers
// SPDX-License-Identifier: Apache-2.0

// Print the nearest person of each message on `poses`, and when it will be nearest:
//
//   ros2 run pose3d_ros nearest_person --ros-args -r poses:=/front/poses
//
// nearest_person.py is the same in Python. docs/for_planners.md explains the numbers.

#include <cstdio>
#include <memory>

#include "nearest_person.hpp"
#include "rclcpp/rclcpp.hpp"

class NearestPerson : public rclcpp::Node
{
public:
  NearestPerson()
  : Node("nearest_person")
  {
    using pose3d_ros::msg::Pose3DArray;
    // depth 1: only the newest counts
    subscription_ = create_subscription<Pose3DArray>(
      "poses", 1, [this](const Pose3DArray & message) {
        const rclcpp::Duration age =
        now() - rclcpp::Time(message.header.stamp, get_clock()->get_clock_type());
        std::puts(nearest_person::describe(message, age.seconds()).c_str());
        std::fflush(stdout);
      });
  }

private:
  rclcpp::Subscription<pose3d_ros::msg::Pose3DArray>::SharedPtr subscription_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<NearestPerson>());
  rclcpp::shutdown();
  return 0;
}
