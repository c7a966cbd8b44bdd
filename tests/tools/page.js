// Loads /model.glb and plays its first clip; tests and pictures drive it through window.player.
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(window.innerWidth, window.innerHeight);
renderer.shadowMap.enabled = true;
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xe9edf1);
scene.add(new THREE.HemisphereLight(0xffffff, 0xb8b2aa, 2.0));
const sun = new THREE.DirectionalLight(0xfff4e6, 3.0);
const rim = new THREE.DirectionalLight(0xdde8ff, 1.5);
scene.add(sun, sun.target, rim, rim.target);

const loader = new GLTFLoader();
if (window.prepareLoader) await window.prepareLoader(loader);
const file = await loader.loadAsync("/model.glb");
scene.add(file.scene);
const meshes = [];
file.scene.traverse((thing) => { if (thing.isMesh) meshes.push(thing); });
for (const mesh of meshes) mesh.frustumCulled = false;
const mixer = new THREE.AnimationMixer(file.scene);
let action = null;
choose(0);
let camera = framed();
draw();

function choose(index) {
  if (action) action.stop();
  action = null;
  if (!file.animations[index]) return;
  action = mixer.clipAction(file.animations[index]);
  action.setLoop(THREE.LoopOnce).clampWhenFinished = true;
  action.play();
  mixer.setTime(0);
}

function box() {
  file.scene.updateMatrixWorld(true);
  const all = new THREE.Box3();
  for (const mesh of meshes) all.union(new THREE.Box3().setFromArray(posedVertices(mesh)));
  return all;
}

function framed() {
  const [middle, size] = [box().getCenter(new THREE.Vector3()), box().getSize(new THREE.Vector3())];
  return seen(middle, 1.2 * Math.max(size.x, size.y, size.z), 19, 6);
}

// A camera that shows so many metres of height about a point, from a side and from above (degrees), and its lights.
function seen(middle, height, side, above) {
  const eye = new THREE.PerspectiveCamera(25, window.innerWidth / window.innerHeight, 0.01, 100);
  const away = (degrees, up) => new THREE.Vector3().setFromSphericalCoords(1, Math.PI / 2 - up, (degrees * Math.PI) / 180);
  const distance = height / 2 / Math.tan((eye.fov * Math.PI) / 360);
  eye.position.copy(middle).addScaledVector(away(side, (above * Math.PI) / 180), distance);
  eye.lookAt(middle);
  for (const [light, turn, up] of [[sun, 20, 1.1], [rim, -140, 0.5]]) {
    light.target.position.copy(middle);
    light.position.copy(middle).addScaledVector(away(side + turn, up), 4 * height);
    light.target.updateMatrixWorld();
  }
  return eye;
}

function posedVertices(mesh) {
  const points = new Float32Array(3 * mesh.geometry.attributes.position.count);
  const point = new THREE.Vector3();
  for (let index = 0; index < points.length / 3; index += 1) {
    mesh.getVertexPosition(index, point).applyMatrix4(mesh.matrixWorld).toArray(points, 3 * index);
  }
  return points;
}

function draw() {
  renderer.render(scene, camera);
}

// For pictures: a ground at height 0 that takes the shadow of the sun.
function addGround() {
  const size = box().getSize(new THREE.Vector3()).length();
  const ground = new THREE.Mesh(new THREE.CircleGeometry(20 * size, 64), new THREE.ShadowMaterial({ opacity: 0.25 }));
  ground.rotation.x = -Math.PI / 2;
  ground.receiveShadow = true;
  scene.add(ground);
  for (const mesh of meshes) mesh.castShadow = mesh.receiveShadow = true;
  sun.castShadow = true;
  sun.shadow.mapSize.set(4096, 4096);
  sun.shadow.radius = 5;
  sun.shadow.normalBias = 0.01 * size;
  Object.assign(sun.shadow.camera, { left: -size, right: size, top: size, bottom: -size, near: 0.1, far: 20 * size });
  sun.shadow.camera.updateProjectionMatrix();
}

// For pictures: triangles as lines over a pale surface, or bones over one that is seen through.
function addLines(kind) {
  if (kind === "bones") {
    const paint = (color) => new THREE.MeshBasicMaterial({ color, depthTest: false, transparent: true });
    const [ball, rod, blue, red] = [0.016, 0.009].map((size) => new THREE.SphereGeometry(size, 16, 12))
      .concat([paint(0x1d4fe2), paint(0xe2521d)]);
    for (const bone of meshes.flatMap((mesh) => mesh.skeleton?.bones ?? [])) {
      bone.add(Object.assign(new THREE.Mesh(ball, blue), { renderOrder: 2 }));
      if (!bone.parent?.isBone) continue;
      const line = Object.assign(new THREE.Mesh(rod, red), { renderOrder: 1 });
      line.position.copy(bone.position).multiplyScalar(0.5);
      line.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), bone.position.clone().normalize());
      line.scale.set(1, bone.position.length() / 0.018, 1);
      bone.parent.add(line);
    }
    for (const mesh of meshes) Object.assign(mesh.material, { transparent: true, opacity: 0.45 });
    return;
  }
  for (const mesh of [...meshes]) {
    const lines = mesh.clone();
    lines.skeleton = mesh.skeleton;
    lines.material = new THREE.MeshBasicMaterial({ color: 0x26323f, wireframe: true, transparent: true, opacity: 0.35 });
    mesh.material = new THREE.MeshStandardMaterial({ color: 0xdfe3e8, roughness: 0.9, polygonOffset: true });
    Object.assign(mesh.material, { polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
    mesh.parent.add(lines);
  }
}

window.player = {
  THREE,
  file,
  clips: file.animations.map((clip) => ({ name: clip.name, seconds: clip.duration })),
  joints: meshes.flatMap((mesh) => (mesh.skeleton ? mesh.skeleton.bones.map((bone) => bone.name) : [])),
  morphs: meshes.flatMap((mesh) => Object.keys(mesh.morphTargetDictionary ?? {})),
  textures: meshes.flatMap((mesh) => ["map", "normalMap"].filter((kind) => mesh.material[kind]?.image?.width > 0)),
  materials: meshes.map((mesh) => mesh.material.type),
  choose,
  draw,
  addGround,
  addLines,
  follow() {
    camera = framed();
    draw();
  },
  look(height, side, above, up) {
    const middle = box().getCenter(new THREE.Vector3());
    camera = seen(middle.setY(up), height, side, above);
    draw();
  },
  setTime(seconds) {
    mixer.setTime(Math.min(seconds, action.getClip().duration));
    file.scene.updateMatrixWorld(true);
    draw();
  },
  setMorphs(weights) {
    for (const mesh of meshes) {
      const places = mesh.morphTargetDictionary ?? {};
      mesh.morphTargetInfluences?.fill(0);
      for (const [name, weight] of Object.entries(weights)) mesh.morphTargetInfluences[places[name]] = weight;
    }
    draw();
  },
  posedVertices() {
    const parts = meshes.map((mesh) => Array.from(posedVertices(mesh)));
    return parts.flat();
  },
  playedFrames: (seconds) =>
    new Promise((done) => {
      let frames = 0;
      const start = performance.now();
      const step = () => {
        const now = (performance.now() - start) / 1000;
        if (now > seconds) return done(frames / now);
        frames += 1;
        window.player.setTime(now % action.getClip().duration);
        requestAnimationFrame(step);
      };
      step();
    }),
};
