// Copyright 2026 pose3d_ros maintainers
// SPDX-License-Identifier: Apache-2.0

#ifndef EXAMPLES__NEAREST_PERSON_HPP_
#define EXAMPLES__NEAREST_PERSON_HPP_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>

#include "pose3d_ros/msg/pose3_d.hpp"
#include "pose3d_ros/msg/pose3_d_array.hpp"

namespace nearest_person
{

using pose3d_ros::msg::Pose3D;
using pose3d_ros::msg::Pose3DArray;
using Vector = std::array<double, 3>;

constexpr double MAX_AGE_S = 1.0;  // poses that are older are of no use to whoever moves

template<typename Message>
Vector xyz(const Message & message)
{
  return {message.x, message.y, message.z};
}

inline double dot(const Vector & a, const Vector & b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

inline double length(const Vector & a)
{
  return std::sqrt(dot(a, a));
}

// Where a point is after a time, s.
inline Vector moved(const Vector & position_m, const Vector & velocity_m_s, double time_s)
{
  Vector then = position_m;
  for (std::size_t i = 0; i < then.size(); ++i) {
    then[i] += velocity_m_s[i] * time_s;
  }
  return then;
}

// Where the pelvis is now, metres: it went on since the image was taken.
inline Vector position(const Pose3D & pose, double age_s)
{
  return pose.has_velocity ?
         moved(xyz(pose.tracked_root), xyz(pose.velocity), age_s) : xyz(pose.root);
}

// In how many seconds a person is nearest to the camera, if both go on as they do: velocity is
// relative to the camera. 0: it only gets farther away.
inline double time_to_closest(const Vector & position_m, const Vector & velocity_m_s)
{
  return std::max(0.0, -dot(position_m, velocity_m_s) / dot(velocity_m_s, velocity_m_s));
}

// The standard deviation along a direction in (x, y, z, vx, vy, vz).
inline double stddev_along(const Pose3D & pose, const std::array<double, 6> & direction)
{
  double variance = 0.0;
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      variance += direction[i] * pose.track_covariance[6 * i + j] * direction[j];
    }
  }
  return std::sqrt(std::max(0.0, variance));
}

// The standard deviation of the distance now, metres.
inline double distance_stddev(const Pose3D & pose, double age_s)
{
  const Vector p = position(pose, age_s);
  const double m = length(p);
  if (m == 0.0) {
    return 0.0;
  }
  return stddev_along(
    pose, {p[0] / m, p[1] / m, p[2] / m, age_s * p[0] / m, age_s * p[1] / m, age_s * p[2] / m});
}

// The standard deviation of the speed, m/s.
inline double speed_stddev(const Pose3D & pose)
{
  const Vector v = xyz(pose.velocity);
  const double m = length(v);
  return m == 0.0 ? 0.0 : stddev_along(pose, {0.0, 0.0, 0.0, v[0] / m, v[1] / m, v[2] / m});
}

inline const char * name_of(decltype(Pose3D::state) state)
{
  switch (state) {
    case Pose3D::NEW: return "new";
    case Pose3D::CONFIRMED: return "confirmed";
    case Pose3D::COASTING: return "coasting";  // not in this image: moved along
    default: return "untracked";
  }
}

template<typename ... Values>
std::string text(const char * format, Values ... values)
{
  std::array<char, 256> buffer;
  std::snprintf(buffer.data(), buffer.size(), format, values ...);
  return buffer.data();
}

// A line about the nearest person, as of now.
//
// age_s: the time since the image was taken.
inline std::string describe(const Pose3DArray & message, double age_s)
{
  if (age_s < 0.0 || age_s > MAX_AGE_S) {
    return text("poses are %.1f s old: not used", age_s);
  }
  if (message.poses.empty()) {
    return "nobody";
  }
  const Pose3D & pose = *std::min_element(
    message.poses.begin(), message.poses.end(), [age_s](const Pose3D & a, const Pose3D & b) {
      return length(position(a, age_s)) < length(position(b, age_s));
    });
  const Vector away = position(pose, age_s), velocity = xyz(pose.velocity);
  std::string line = (pose.id.empty() ? "?" : pose.id) +
    text(" (%s): %.2f m", name_of(pose.state), length(away));
  if (!pose.has_velocity) {
    return line + ", velocity not known";
  }
  line += text(" +- %.2f m", distance_stddev(pose, age_s));
  if (length(velocity) <= speed_stddev(pose)) {
    return line + ", stands as far as can be told";
  }
  line += text(", %.2f m/s", length(velocity));
  const double time_s = time_to_closest(away, velocity);
  if (time_s == 0.0) {
    return line + ", leaves";
  }
  const double closest_m = length(moved(away, velocity, time_s));
  return line + text(", nearest in %.1f s at %.2f m", time_s, closest_m);
}

}  // namespace nearest_person

#endif  // EXAMPLES__NEAREST_PERSON_HPP_
