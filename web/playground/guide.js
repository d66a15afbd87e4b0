// What to change before the shot. Nothing here touches the page.

/**
 * What the person should change, told from the service's answer for a preview frame.
 *
 * `scale` is the size of the picture to be taken relative to the frame: limits in pixels hold for that picture.
 * `selfie` is whether people see themselves, so that words like "your left" help them.
 */
export function guide(details, { scale = 1, selfie = true } = {}) {
  const checks = {
    face: 'pass',
    light: 'unknown',
    distance: 'unknown',
    centre: 'unknown',
    pose: 'unknown',
    clear: 'unknown',
  };
  const say = (check, main, more = '', cue = {}) => {
    checks[check] = 'fail';
    return { state: 'fix', main, more, checks, ...cue };
  };
  const rules = new Map(details.rules.map((rule) => [rule.rule, rule]));
  // With a share to spare of a least value, so that the picture does not miss what the frame just met.
  const broken = (name, spare = 0) => {
    const rule = rules.get(name);
    if (!rule || rule.measured === undefined || rule.action !== 'reject') return false;
    const measured = rule.unit === 'px' ? rule.measured * scale : rule.measured;
    if (name.startsWith('min_')) return measured < rule.threshold * (1 + spare);
    return rule.unit === 'px' ? measured > rule.threshold : rule.verdict === 'fail';
  };

  const [main] = details.faces;
  if (!main || broken('min_faces')) return say('face', 'No face to be seen', 'Look into the camera, in good light.');
  if (broken('max_second_face')) return say('face', 'Only one person, please', 'Someone else is in the picture.');

  if (broken('min_contrast', 0.3)) return say('light', 'Better light, please', 'Your face is too dark or too bright.');
  const liveness = details.liveness;
  const colour = rules.get('min_colour');
  // By default the rule only warns, but what cannot be judged is not good.
  if (liveness?.reliability === 0 || colour?.measured < 1.1 * colour?.threshold) {
    return say('light', 'More light, please', 'Too dark, or a camera without colour: liveness cannot be judged.');
  }
  checks.light = 'pass';

  const { width, height } = details.image;
  const { extent } = main;
  const [x, y] = [(extent.left + extent.width / 2) / width - 0.5, (extent.top + extent.height / 2) / height - 0.5];

  const far = ['min_interpupillary_distance', 'min_face_side', 'min_face_area'].some((name) => broken(name, 0.06));
  const near = broken('min_surrounding', 0.04) || broken('min_opposite_margins');
  checks.distance = far || near ? 'fail' : 'pass';
  if (near) return say('distance', 'Move further away', 'Show some room around your face.', { zoom: -1 });
  if (far) return say('distance', 'Come closer', '', { zoom: 1 });

  const aside = broken('max_outside') || broken('min_margin', 0.3);
  checks.centre = aside || Math.hypot(x, y * 0.85) > 0.17 ? 'fail' : 'pass';
  if (checks.centre === 'fail') {
    // What is left in the picture is the person's right.
    const across = Math.abs(x) > 0.06 ? `to your ${x < 0 ? 'left' : 'right'}` : '';
    const along = Math.abs(y) > 0.08 ? (y < 0 ? 'down' : 'up') : '';
    const where = [across, along].filter(Boolean).join(' and ');
    return say('centre', 'Bring your face to the centre', selfie && where ? `A little ${where}.` : '', {
      move: [-x, -y],
    });
  }

  if (liveness && liveness.reliability < 0.9) {
    return say('distance', 'A little further away', 'The liveness check needs to see what is around you.', {
      zoom: -1,
    });
  }

  const pose = details.pose;
  if (pose) {
    const limit = (name) => (rules.get(name)?.action === 'off' ? Infinity : (rules.get(name)?.threshold ?? 30));
    checks.pose = 'pass';
    if (Math.abs(pose.yaw) > 0.7 * limit('max_yaw')) {
      const way = pose.yaw > 0 ? 'right' : 'left';
      return say('pose', 'Turn to the camera', `Turn your head a little to your ${way}.`, {
        turn: [pose.yaw > 0 ? -1 : 1, 0],
      });
    }
    if (Math.abs(pose.pitch) > 0.8 * limit('max_pitch')) {
      const up = pose.pitch > 0;
      return say(
        'pose',
        'Turn to the camera',
        up ? 'Lower your chin a little.' : 'Raise your chin a little, or hold the camera lower.',
        { turn: [0, up ? 1 : -1] },
      );
    }
    if (Math.abs(pose.roll) > 25) return say('pose', 'Hold your head upright');
  }

  const cover = rules.get('max_occlusion');
  if (cover?.measured !== undefined) checks.clear = cover.verdict === 'fail' ? 'fail' : 'pass';
  if (broken('max_occlusion')) return say('clear', 'Uncover your face', 'Take off masks and dark glasses, hands away.');
  return { state: 'good', main: 'Good, hold still', more: '', checks };
}

/** The ellipse for the face to fill, in frame pixels. */
export function target(details, width, height, scale) {
  const threshold = (name, otherwise) => details?.rules.find((rule) => rule.rule === name)?.threshold ?? otherwise;
  const room = Math.max(1.5, threshold('min_surrounding', 1.05) * 1.15);
  const least = ((threshold('min_face_side', 150) / scale) * 1.1) / 0.78;
  const tall = Math.min(Math.max(0.48 * height, least), height / room, width / room / 0.78);
  return { x: width / 2, y: height * 0.5, rx: tall * 0.43, ry: tall * 0.57 };
}
