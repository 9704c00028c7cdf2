# pose3d_ros on ROS 2 Jazzy.
#
#   docker build -t pose3d_ros .
#   docker run --rm -v pose3d_weights:/weights pose3d_ros pose3d fetch      # once
#   docker run --rm -v pose3d_weights:/weights --net=host --ipc=host pose3d_ros \
#       ros2 launch pose3d_ros pipeline.launch.py image:=/camera/image_raw
#
# --ipc=host, as images come through the shared memory of the camera's process; README, "Large
# images", says what that process needs. The image holds no weights.
FROM ros:jazzy

ENV POSE3D_HOME=/weights
VOLUME /weights
WORKDIR /ws

# what has no rosdep key, or one that pip cannot follow beside the system's packages; in an
# environment that sees those. Ubuntu's OpenCV needs NumPy 1, which pip would replace
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages /venv \
    && /venv/bin/pip install --no-cache-dir openvino onnx rosbags 'numpy<2'
ENV PATH=/venv/bin:$PATH VIRTUAL_ENV=/venv

# package.xml alone first: a change of the sources does not install its dependencies anew
COPY package.xml src/pose3d_ros/package.xml
RUN apt-get update \
    && rosdep update --rosdistro jazzy \
    && rosdep install --from-paths src --ignore-src --rosdistro jazzy --default-yes \
        --dependency-types buildtool --dependency-types buildtool_export \
        --dependency-types build --dependency-types build_export --dependency-types exec \
    && rm -rf /var/lib/apt/lists/*

COPY . src/pose3d_ros
RUN . /opt/ros/jazzy/setup.sh \
    && colcon build --packages-select pose3d_ros --cmake-args -DBUILD_TESTING=OFF \
    && rm -rf build log

# ROS's own entry point knows the installation, not the workspace
ENTRYPOINT ["/ros_entrypoint.sh", "bash", "-c", ". /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "pose3d_ros", "pipeline.launch.py"]
