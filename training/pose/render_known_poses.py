#!/usr/bin/env python3
"""Renders a textured 3D head at known angles and compares them with the pose that facegate reports.

The head is MediaPipe's canonical face mesh (out of facegate's model folder) with the packaged portrait as its texture,
carried on into a rounded rim for hair and ears. As in facegate, the mesh is first levelled at its Frankfurt plane, the
anatomical zero of pitch. Its rotation is then known by construction, so this shows whether the reported angles grow as
the head turns, with which gain, with which sign, and with which offset for a head that is held level. It cannot show errors of the mesh itself (it is both what is drawn and what is fitted), what a
turned head hides and reveals (the texture is one photograph), lenses, light or expressions.

    python3 render_known_poses.py --facegate ../../target/release/facegate [--keep DIR]

Needs numpy and opencv-python-headless.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import cv2
import numpy as np

# x right, y up, z to the camera, as in the mesh; degrees. Signs as in facegate's answers: yaw > 0 turns the nose to the
# right of the picture, pitch > 0 looks up, roll > 0 leans clockwise.


def rotation(yaw, pitch, roll):
    y, p, r = np.radians([yaw, -pitch, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


# Vertices of the Frankfurt plane, as in crates/face-analysis/src/pose.rs: notches above the tragi, lower rims of the sockets.
TRAGION, ORBITALE = (234, 454), (230, 450)


def level(mesh):
    """The mesh turned about x until tragion and orbitale are level, and by how many degrees it looked up before."""
    up = mesh[list(ORBITALE)].mean(0) - mesh[list(TRAGION)].mean(0)
    angle = np.arctan2(up[1], up[2])
    about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return mesh @ about_x.T, np.degrees(angle)


def details(facegate, paths):
    command = [facegate, "analyze", "--details", "--profile", "lenient", *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["details"] for line in lines]


def head(mesh, points):
    """Vertices in space and in the texture, with a rim that goes back and outwards from the face's outline."""
    hull = cv2.convexHull(points.astype(np.float32), returnPoints=False).ravel()
    centre, middle = mesh[hull].mean(0), points[hull].mean(0)
    space, texture = [mesh], [points]
    for out, back in ((1.2, 4.0), (1.45, 9.0), (1.6, 14.0)):
        rim = centre + (mesh[hull] - centre) * [out if out < 1.5 else 1.35, out if out < 1.5 else 1.35, 1]
        rim[:, 2] = mesh[hull][:, 2] - back
        space.append(rim)
        texture.append(middle + (points[hull] - middle) * out)
    return np.vstack(space), np.vstack(texture)


def triangles(texture):
    low, high = texture.min(0) - 10, texture.max(0) + 10
    plane = cv2.Subdiv2D((0, 0, int(high[0] - low[0]) + 20, int(high[1] - low[1]) + 20))
    shifted = texture - low
    for point in shifted:
        plane.insert((float(point[0]), float(point[1])))
    found = []
    for t in plane.getTriangleList().reshape(-1, 3, 2):
        near = [np.abs(shifted - corner).sum(1) for corner in t]
        if max(n.min() for n in near) < 0.01:
            found.append([int(n.argmin()) for n in near])
    return np.array(found)


def render(picture, space, texture, mesh_triangles, angles, size=640, face_height=230):
    turned = space @ rotation(*angles).T
    scale = face_height / 17.0  # the mesh is about 17 cm high
    # A camera 60 cm away, as in a selfie.
    depth = 60.0 / (60.0 - turned[:, 2])
    xy = np.stack([size / 2 + turned[:, 0] * scale * depth, size / 2 - turned[:, 1] * scale * depth], 1)
    canvas = np.full((size, size, 3), 128, np.uint8)
    order = np.argsort(turned[mesh_triangles][:, :, 2].mean(1))
    for triangle in mesh_triangles[order]:
        source, target = texture[triangle].astype(np.float32), xy[triangle].astype(np.float32)
        left, top = np.floor(target.min(0)).astype(int) - 1
        right, bottom = np.ceil(target.max(0)).astype(int) + 2
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, size), min(bottom, size)
        if right <= left or bottom <= top:
            continue
        local = target - [left, top]
        move = cv2.getAffineTransform(source, local.astype(np.float32))
        patch = cv2.warpAffine(picture, move, (right - left, bottom - top), borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillConvexPoly(mask, np.round(local * 16).astype(np.int32), 255, cv2.LINE_8, 4)
        canvas[top:bottom, left:right][mask > 0] = patch[mask > 0]
    return cv2.GaussianBlur(canvas, (3, 3), 0)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--facegate", default="facegate")
    arguments.add_argument("--portrait", help="instead of the packaged one")
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for the rendered pictures")
    options = arguments.parse_args()
    path = subprocess.run([options.facegate, "models", "path"], check=True, capture_output=True, text=True).stdout
    models = pathlib.Path(path.strip())
    mesh = np.array(json.loads((models / "face_geometry.json").read_text())["vertices"], float)
    mesh, raised = level(mesh)
    print("mesh levelled at the Frankfurt plane, by %.1f degrees" % raised)
    picture = cv2.imread(options.portrait or str(models / "pictures" / "astronaut.png"))
    picture = cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        folder = options.keep or pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "texture.png"), picture)
        points = np.array(details(options.facegate, [folder / "texture.png"])[0]["landmarks"])[: len(mesh), :2]
        space, texture = head(mesh, points)
        mesh_triangles = triangles(texture)
        cases = [(yaw, 0, 0) for yaw in range(-45, 46, 15)]
        cases += [(0, pitch, 0) for pitch in range(-30, 31, 10) if pitch]
        cases += [(0, 0, roll) for roll in (-20, -10, 10, 20)]
        cases += [(yaw, pitch, 0) for yaw in (-30, 30) for pitch in (-20, 20)]
        paths = []
        for number, angles in enumerate(cases):
            paths.append(folder / f"pose{number:02}.png")
            cv2.imwrite(str(paths[-1]), render(picture, space, texture, mesh_triangles, angles))
        answers = details(options.facegate, paths)
    errors = []
    print("      known            reported          error")
    print("  yaw pitch roll    yaw pitch  roll    yaw pitch  roll")
    for angles, answer in zip(cases, answers):
        pose = answer.get("pose")
        if not pose:
            print("%5d %5d %4d   no face" % angles)
            continue
        reported = [pose["yaw"], pose["pitch"], pose["roll"]]
        errors.append(np.array(reported) - angles)
        print("%5d %5d %4d  %5.1f %5.1f %5.1f  %5.1f %5.1f %5.1f" % (*angles, *reported, *errors[-1]))
    errors = np.array(errors)
    print("mean error           %5.1f %5.1f %5.1f" % tuple(errors.mean(0)))
    print("mean absolute error  %5.1f %5.1f %5.1f  of %d pictures" % (*np.abs(errors).mean(0), len(errors)))


if __name__ == "__main__":
    main()
